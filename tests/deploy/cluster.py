"""The surroundings of the test pods: registries, their users, and the way in which Prometheus reaches an agent."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.deploy.manifests import KUBERNETES
from tests.deploy.pod import Pod
from tests.rig.cloud import API, ECR
from tests.rig.distribution import Distribution
from tests.rig.machine import Machine
from tests.rig.needs import need

EKS: Final = KUBERNETES / "eks"
A, B, C, SILENT = "a.example.test", "b.example.test", "c.example.test", "silent.example.test"
PASSWORDS: Final = {name: f"password-of-{name}" for name in ("ada", "ben", "cy", "dee")}
"""The passwords of the users at `A`, `B` and `C`."""


@contextmanager
def machine_with_registries(directory: Path) -> Iterator[Machine]:
    """Start a real registry at three names, one behind ECR, and a name that a test can make silent."""
    need("ip", "nsenter", "unshare", "setpriv", "docker", "docker-registry", "htpasswd")
    machine = Machine(directory, [(A, B, C), (SILENT,), API, (ECR,)])
    tls = machine.authority.files(A, B, C)
    own = Distribution(machine.namespace, directory / "own", machine.address(A), 443, tls=tls, users=PASSWORDS)
    ecr = Distribution(machine.namespace, directory / "ecr", "127.0.0.1", 5000)
    yield machine
    ecr.close()
    own.close()
    machine.close()


def login(hostname: str, user: str) -> dict[str, str]:
    """Return a secret with one file for each field."""
    return {"hostname": hostname, "username": user, "password": f"{PASSWORDS[user]}\n"}


def scrape(pod: Pod, token: str | None) -> str:
    """Return the metrics from the pod's own address, or the HTTP status if they are refused."""
    code = (
        "import sys, urllib.error, urllib.request as u\n"
        "headers = {'Authorization': f'Bearer {sys.argv[1]}'} if sys.argv[1:] else {}\n"
        "try: print(u.urlopen(u.Request('http://10.77.0.1:8719/metrics', headers=headers)).read().decode())\n"
        "except urllib.error.HTTPError as error: print(error.code)"
    )
    return pod.execute("workspace", "python3", "-c", code, *([token] if token else [])).stdout.strip()
