"""Registries for pods (once per session), and the metrics of an agent that has logins to report."""

import json
from collections.abc import Iterator

import pytest

from tests.deploy.cluster import EKS, A, login, machine_with_registries, scrape
from tests.deploy.manifests import objects, pod_spec
from tests.deploy.pod import Pod
from tests.rig.cloud import ECR, NATIVE, cloud_on
from tests.rig.machine import Machine
from tests.rig.waiting import until


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine_with_registries(tmp_path_factory.mktemp("machine")) as machine:
        yield machine


@pytest.fixture(scope="session")
def metrics(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the metrics that a real agent serves to Prometheus, with a working ECR login and a refused login."""
    refused = {**login(A, "ada"), "name": "team-a", "password": "wrong"}
    given = {
        ("secret", "registry-secrets"): {"a.json": json.dumps(refused)},
        ("configMap", "registry-list"): {"ecr.json": json.dumps({"name": "team-ecr", "hostname": ECR, **NATIVE})},
        ("token", "sts.amazonaws.com"): {"token": "a-web-identity-token"},
        ("secret", "registry-agent-status"): {"token": "a-status-token"},
    }
    pod = Pod(machine, pod_spec(objects(EKS)), given, tmp_path_factory.mktemp("metrics") / "log")
    with cloud_on(machine, "http://127.0.0.1:5000") as cloud, pod.running():
        cloud.aws.web_identities["a-web-identity-token"] = "system:serviceaccount:default:workspace"
        pod.wait_logged_in(ECR)
        until("a refused login", lambda: 'code="login_rejected"' in scrape(pod, "a-status-token"))
        return scrape(pod, "a-status-token")
