"""The example without a cluster: Debian's podman plays `deploy/kubernetes/podman` with the real image."""

import base64
import copy
import json
from collections.abc import Iterator
from typing import Final

import pytest

from tests.deploy.cluster import A, login
from tests.deploy.manifests import KUBERNETES, Object, container, containers, objects, pod_spec
from tests.deploy.pod import BUNDLE
from tests.deploy.podman import Podman
from tests.rig.machine import Machine
from tests.rig.needs import need

EXAMPLE: Final = KUBERNETES / "example"
SECRET: Final = {"name": "team", **login(A, "ada")}


def played(machine: Machine) -> list[Object]:
    """Return the objects that `kubectl kustomize` prints, plus a secret and the authority of the test's registry."""
    given = copy.deepcopy(objects(KUBERNETES / "podman"))
    spec = pod_spec(given)
    spec["volumes"].append({"name": "authority", "hostPath": {"path": str(machine.authority.bundle), "type": "File"}})
    container(spec, "registry-agent")["volumeMounts"].append(
        {"name": "authority", "mountPath": BUNDLE, "readOnly": True}
    )
    # The image of the tests has only busybox.
    container(spec, "workspace")["command"] = ["/bin/busybox", "sleep", "infinity"]
    data = {"team.json": base64.b64encode(json.dumps(SECRET).encode()).decode()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "registry-secrets"}, "data": data}
    return [secret, *given]


@pytest.fixture(scope="module")
def podman(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """Start the pod, and remove it at the end."""
    need("podman")
    podman = Podman(machine, tmp_path_factory.mktemp("podman") / "storage")
    given = played(machine)
    spec = pod_spec(given)
    try:
        podman.load_images(*(container(spec, name)["image"] for name in ("registry-agent", "workspace")))
        podman.play(given)
        yield podman
    finally:
        podman.close()


def test_the_workspace_finds_the_login_in_the_shared_directory(podman: Podman) -> None:
    """The agent reads the secret, and logs in with its own docker. Only its container sees the secret."""
    status = podman.execute("registry-agent", "registry-agent", "status", "--json", "--wait", "--timeout", "120")
    assert status.returncode == 0, status.stdout + status.stderr
    assert {row["hostname"]: row["state"] for row in json.loads(status.stdout)["registries"]} == {A: "logged_in"}
    shared = podman.execute("workspace", "/bin/busybox", "cat", "/run/docker-config/config.json")
    assert A in json.loads(shared.stdout)["auths"], shared.stderr
    assert podman.execute("workspace", "/bin/busybox", "ls", "/run/secrets/registries").returncode != 0
    assert SECRET["password"].strip() not in podman.must("logs", "workspace-pod-0-registry-agent")


def test_the_probes_of_the_example_succeed_in_the_container(podman: Podman) -> None:
    """Podman 4.3 cannot run the probes itself, so the test runs their commands where a kubelet would."""
    example = container(pod_spec(objects(EXAMPLE)), "registry-agent")
    for probe in ("livenessProbe", "readinessProbe"):
        done = podman.execute("registry-agent", *example[probe]["exec"]["command"])
        assert done.returncode == 0, done.stdout + done.stderr


def test_only_what_podman_does_not_know_is_left_out() -> None:
    """Containers, mounts, users and rights are the same as in the example."""
    ours, theirs = pod_spec(objects(KUBERNETES / "podman")), pod_spec(objects(EXAMPLE))
    unknown = {"livenessProbe", "readinessProbe", "restartPolicy"}
    assert "initContainers" not in ours
    for each in containers(theirs):
        expected = {name: value for name, value in each.items() if name not in unknown}
        assert container(ours, each["name"]) == expected
    assert ours["securityContext"] == theirs["securityContext"]
    assert ours["volumes"][1:] == theirs["volumes"][1:]
