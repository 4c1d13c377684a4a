"""The Kubernetes files as users apply them: rendered by a real kubectl, and parsed."""

import json
import platform
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from tests.prepare.steps import VALIDATORS
from tests.rig.needs import need, prepared

PROJECT: Final = Path(__file__).parents[2]
KUBERNETES: Final = PROJECT / "deploy/kubernetes"
MONITORING: Final = PROJECT / "deploy/monitoring"

Object = dict[str, Any]


def validators() -> Path:
    """Return a directory with everything that `validators/package-lock.json` pins."""
    return prepared(VALIDATORS)


@cache
def kubectl() -> str:
    """Return the pinned kubectl, or the one on PATH if the pinned one is not built for this machine.

    Debian 12's own (1.20) does not support components.
    """
    if platform.machine() != "x86_64":
        need("kubectl")
        return "kubectl"
    return str(validators() / "kubectl")


def render(directory: Path) -> str:
    """Return what `kubectl apply -k` would send. A warning counts as an error."""
    done = subprocess.run([kubectl(), "kustomize", directory], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@cache
def objects(directory: Path) -> list[Object]:
    return list(yaml.safe_load_all(render(directory)))


def workload(rendered: Iterable[Object], name: str = "workspace") -> Object:
    kinds = ("Deployment", "StatefulSet")
    return next(item for item in rendered if item["kind"] in kinds and item["metadata"]["name"] == name)


def pod_spec(rendered: Iterable[Object], name: str = "workspace") -> Object:
    spec: Object = workload(rendered, name)["spec"]["template"]["spec"]
    return spec


def containers(spec: Object) -> list[Object]:
    """Return all containers of a pod, in the order in which they start."""
    return [*spec.get("initContainers", ()), *spec["containers"]]


def container(spec: Object, name: str) -> Object:
    return next(item for item in containers(spec) if item["name"] == name)


def environment_of(item: Object) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in item.get("env", ())}


def kubernetes_faults(text: str, version: str) -> str:
    """Return the errors in `text` by a Kubernetes version's JSON schemas, including unknown fields; empty if valid."""
    program = str(Path(sys.executable).with_name("kubernetes-validate"))
    command = [program, "--strict", "--kubernetes-version", version, "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    clean = done.returncode == 0 and "WARN" not in done.stdout
    return "" if clean else done.stdout + done.stderr


def custom_resource_faults(resources: list[Object]) -> str:
    """Return the errors in the resources by the types and schemas of the Prometheus operator; empty if valid."""
    command = ["node", str(validators() / "custom_resources.cjs")]
    done = subprocess.run(command, input=json.dumps(resources), capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.strip()
