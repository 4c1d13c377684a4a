"""The Kubernetes files: other projects' validators check what they contain, and a pod shows what they do.

No cluster runs here. The tests follow Kubernetes' documentation for what a kubelet does with the files.
"""

import copy
import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

import agent
from tests.deploy.cluster import EKS, PASSWORDS, SILENT, A, B, C, login, scrape
from tests.deploy.manifests import (
    KUBERNETES,
    MONITORING,
    PROJECT,
    container,
    containers,
    custom_resource_faults,
    environment_of,
    kubernetes_faults,
    objects,
    pod_spec,
    render,
    validators,
    workload,
)
from tests.deploy.pod import Pod
from tests.deploy.pod_security import violations
from tests.rig.agent import REGISTRY_AGENT
from tests.rig.cloud import ECR, cloud_on
from tests.rig.machine import Machine
from tests.rig.waiting import until

Object = dict[str, Any]

EXAMPLE: Final = KUBERNETES / "example"
STATUS_TOKEN: Final = "REGISTRY_AGENT_STATUS_TOKEN_FILE"
OLDEST, NEWEST = "1.29", "1.37"


# What the files contain


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("directory", [EXAMPLE, EKS])
def test_every_object_is_valid(directory: Path, version: str) -> None:
    """Kubernetes from 1.29 on, the first with native sidecars, knows every field that the files name."""
    assert kubernetes_faults(render(directory), version) == ""


@pytest.mark.parametrize(
    ("good", "broken"),
    [("restartPolicy: Always", "restartPolcy: Always"), ("periodSeconds: 30", "periodSeconds: often")],
)
def test_the_validator_finds_faults(good: str, broken: str) -> None:
    """A misspelled field and a value of the wrong type are refused."""
    text = render(EXAMPLE)
    assert good in text
    assert kubernetes_faults(text.replace(good, broken), OLDEST) != ""


def test_custom_resources_are_valid() -> None:
    """The PodMonitor and the PrometheusRule match the operator's types and schemas. The rest matches Kubernetes'."""
    custom = [item for item in objects(MONITORING) if item["apiVersion"].startswith("monitoring.coreos.com/")]
    assert sorted(item["kind"] for item in custom) == ["PodMonitor", "PrometheusRule"]
    assert custom_resource_faults(custom) == ""
    others = [item for item in objects(MONITORING) if item not in custom]
    assert kubernetes_faults(yaml.safe_dump_all(others), NEWEST) == ""


@pytest.mark.parametrize(
    ("good", "broken"), [('"matchLabels"', '"matchLabel"'), ('"30s"', '"30 s"'), ('"alert":', '"alarm":')]
)
def test_the_custom_validator_finds_faults(good: str, broken: str) -> None:
    """An unknown field and an invalid duration are refused."""
    custom = [item for item in objects(MONITORING) if item["apiVersion"].startswith("monitoring.coreos.com/")]
    text = json.dumps(custom)
    assert good in text
    assert custom_resource_faults(json.loads(text.replace(good, broken))) != ""


@pytest.mark.parametrize("directory", [EXAMPLE, EKS])
def test_nothing_waits_for_the_agent(directory: Path) -> None:
    """The agent is a sidecar, and neither a startup probe nor a hook delays the containers after it."""
    spec = pod_spec(objects(directory))
    sidecar = spec["initContainers"][0]
    assert (sidecar["name"], sidecar["restartPolicy"]) == ("registry-agent", "Always")
    assert "startupProbe" not in sidecar
    assert "lifecycle" not in sidecar
    assert "cpu" not in sidecar["resources"]["limits"]


def test_ready_waits_only_where_one_chooses_it() -> None:
    """Without the readiness component, a pod is Ready when the agent answers. With it, after the first attempts."""
    commands = [
        container(pod_spec(objects(directory)), "registry-agent")["readinessProbe"]["exec"]["command"]
        for directory in (EXAMPLE, EKS)
    ]
    assert [command[:2] for command in commands] == [["registry-agent", "status"]] * 2
    assert ["--wait" in command for command in commands] == [False, True]


@pytest.mark.parametrize("directory", [EXAMPLE, EKS])
def test_a_missing_secret_keeps_no_pod_from_starting(directory: Path) -> None:
    """Every secret and config map is optional, because a kubelet does not start a pod if a required one is missing."""
    volumes = pod_spec(objects(directory))["volumes"]
    sources = [source for volume in volumes for source in volume.get("projected", {}).get("sources", ())]
    named = [what for item in (*volumes, *sources) for kind, what in item.items() if kind in ("secret", "configMap")]
    assert named
    assert all(what["optional"] for what in named)


def test_both_containers_share_one_configuration() -> None:
    """Both run as the same user and use Docker's configuration in the same volume, which is never written to a disk."""
    spec = pod_spec(objects(EXAMPLE))
    places = set()
    for name in ("registry-agent", "workspace"):
        item = container(spec, name)
        place = environment_of(item)["DOCKER_CONFIG"]
        places.add((place, next(mount["name"] for mount in item["volumeMounts"] if mount["mountPath"] == place)))
        assert "runAsUser" not in item["securityContext"]
    assert places == {("/run/docker-config", "docker-config")}
    shared = next(volume for volume in spec["volumes"] if volume["name"] == "docker-config")
    assert shared["emptyDir"]["medium"] == "Memory"


def test_the_workspace_sees_neither_secrets_nor_an_aws_identity() -> None:
    """Source secrets, the web identity and the status token are mounted only into the agent's container."""
    spec = pod_spec(objects(EKS))
    agents, workspaces = (
        {mount["name"] for mount in container(spec, name)["volumeMounts"]} for name in ("registry-agent", "workspace")
    )
    assert agents - workspaces >= {"registry-secrets", "aws-identity", "registry-agent-status"}
    assert not any("AWS" in name for name in environment_of(container(spec, "workspace")))
    assert spec["automountServiceAccountToken"] is False


@pytest.mark.parametrize("directory", [EXAMPLE, EKS])
def test_the_settings_are_the_agents(directory: Path, tmp_path: Path) -> None:
    """The agent itself accepts the variables that it gets, if the token file that they name exists."""
    env = environment_of(container(pod_spec(objects(directory)), "registry-agent"))
    if STATUS_TOKEN in env:
        (tmp_path / "token").write_text("t0ken")
        env[STATUS_TOKEN] = str(tmp_path / "token")
    done = subprocess.run([REGISTRY_AGENT, "check-config"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_is_of_this_version() -> None:
    """The example names the version of this project."""
    image = container(pod_spec(objects(EXAMPLE)), "registry-agent")["image"]
    assert image.rpartition(":")[2] == agent.__version__


def test_the_component_joins_workspaces_of_ones_own(tmp_path: Path) -> None:
    """It joins every workload with the label, before the init containers there, and leaves the others alone."""
    labels = {"app.kubernetes.io/component": "workspace"}
    workloads = [_own("StatefulSet", "mine", labels), _own("Deployment", "database", {})]
    (tmp_path / "own").mkdir()
    (tmp_path / "own/workloads.yaml").write_text(yaml.safe_dump_all(workloads))
    (tmp_path / "agent").symlink_to(KUBERNETES / "agent")
    kustomization = {"resources": ["workloads.yaml"], "components": ["../agent"]}
    (tmp_path / "own/kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    rendered = objects(tmp_path / "own")
    mine, database = pod_spec(rendered, "mine"), pod_spec(rendered, "database")
    assert [item["name"] for item in containers(mine)] == ["registry-agent", "clone", "workspace"]
    assert {"name": "DOCKER_CONFIG", "value": "/run/docker-config"} in container(mine, "workspace")["env"]
    assert {"name": "OWN", "value": "kept"} in container(mine, "workspace")["env"]
    assert database == workload(workloads, "database")["spec"]["template"]["spec"]
    assert kubernetes_faults(yaml.safe_dump_all(rendered), OLDEST) == ""


def _own(kind: str, name: str, labels: dict[str, str]) -> Object:
    spec: Object = {
        "selector": {"matchLabels": {"app": name}},
        "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {
                "initContainers": [{"name": "clone", "image": "git"}],
                "containers": [{"name": "workspace", "image": "own", "env": [{"name": "OWN", "value": "kept"}]}],
            },
        },
    }
    if kind == "StatefulSet":
        spec["serviceName"] = name
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "labels": labels}, "spec": spec}


@pytest.mark.parametrize("directory", [EXAMPLE, EKS])
def test_the_pod_is_restricted(directory: Path) -> None:
    """The pod follows every rule of the Pod Security Standard `restricted`."""
    assert violations(pod_spec(objects(directory))) == []


def _break(*path: str | int, value: object) -> Callable[[Object], None]:
    def change(spec: Object) -> None:
        inner: Any = spec
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _break("hostNetwork", value=True),
        _break("volumes", 0, value={"name": "host", "hostPath": {"path": "/"}}),
        _break("securityContext", "runAsNonRoot", value=False),
        _break("securityContext", "runAsUser", value=0),
        _break("securityContext", "seccompProfile", value={"type": "Unconfined"}),
        _break("securityContext", "sysctls", value=[{"name": "kernel.msgmax", "value": "1"}]),
        _break("initContainers", 0, "securityContext", "allowPrivilegeEscalation", value=True),
        _break("initContainers", 0, "securityContext", "capabilities", value={"add": ["CHOWN"], "drop": ["ALL"]}),
        _break("initContainers", 0, "securityContext", "capabilities", "drop", value=[]),
        _break("containers", 0, "securityContext", "privileged", value=True),
        _break("containers", 0, "securityContext", value={}),
        _break("containers", 0, "ports", value=[{"containerPort": 80, "hostPort": 80}]),
    ],
)
def test_the_restrictions_find_faults(change: Callable[[Object], None]) -> None:
    """Each broken rule is reported."""
    spec = copy.deepcopy(pod_spec(objects(EXAMPLE)))
    change(spec)
    assert violations(spec) != []


def test_prometheus_finds_what_the_metrics_component_offers() -> None:
    """The PodMonitor looks for the label, the port and the token that the component sets."""
    monitor = next(item["spec"] for item in objects(MONITORING) if item["kind"] == "PodMonitor")
    template = workload(objects(EKS))["spec"]["template"]
    assert monitor["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    (endpoint,) = monitor["podMetricsEndpoints"]
    sidecar = container(template["spec"], "registry-agent")
    assert [(port["name"], port["containerPort"]) for port in sidecar["ports"]] == [(endpoint["port"], 8719)]
    token = next(volume for volume in template["spec"]["volumes"] if volume["name"] == "registry-agent-status")
    assert endpoint["authorization"]["credentials"]["name"] == token["secret"]["secretName"]


def test_the_lock_names_no_host_for_packages() -> None:
    """The validators come from the place where the machine's npm gets its packages."""
    lock = json.loads((PROJECT / "tests/deploy/validators/package-lock.json").read_text())
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
    assert validators().is_dir()


# What the files do


def docker_config(hostname: str, user: str) -> str:
    return json.dumps({"auths": {hostname: {"username": user, "password": PASSWORDS[user]}}})


def asks(pod: Pod, hostname: str) -> str:
    """Return the error of the workspace's docker CLI about an image that does not exist."""
    done = pod.execute("workspace", "docker", "manifest", "inspect", f"{hostname}/team/app:1")
    return done.stderr


def test_the_workspace_uses_the_agents_logins(machine: Machine, tmp_path: Path) -> None:
    """Secrets of each form become logins of the workspace's docker. A changed secret is used without a restart."""
    given = {
        ("secret", "registry-pull-secret"): {".dockerconfigjson": docker_config(A, "ada")},
        ("secret", "registry-login"): login(B, "ben"),
        ("secret", "registry-secrets"): {"more.json": json.dumps([{"name": "third", **login(C, "cy")}])},
    }
    pod = Pod(machine, pod_spec(objects(EXAMPLE)), given, tmp_path / "log")
    assert "no basic auth credentials" in asks(pod, A)
    with pod.running() as process:
        pod.wait_logged_in(A, B, C)
        for hostname in (A, B, C):
            assert "no such manifest" in asks(pod, hostname)
        seen = pod.execute("workspace", "stat", "-c", "%a %u", "/run/docker-config/config.json")
        assert seen.stdout.split() == ["600", str(pod.user)]

        before = docker_config_of(pod)
        pod.give("secret", "registry-login", login(B, "dee"))
        until("the new password in use", lambda: docker_config_of(pod) != before)
        pod.wait_logged_in(A, B, C)
        assert "no such manifest" in asks(pod, B)

        process.terminate()
        assert process.wait(30) == 0, "Kubernetes kills it after 30 s"
    assert "no such manifest" in asks(pod, A)
    assert not any(password in pod.log() for password in PASSWORDS.values())


def docker_config_of(pod: Pod) -> str:
    return pod.execute("workspace", "cat", "/run/docker-config/config.json").stdout


def test_the_workspace_sees_the_status_and_can_renew(machine: Machine, tmp_path: Path) -> None:
    """The workspace gets the status over the socket and over loopback, and a renewal over the socket."""
    given = {("secret", "registry-login"): login(A, "ada")}
    pod = Pod(machine, pod_spec(objects(EXAMPLE)), given, tmp_path / "log")
    with pod.running():
        pod.wait_logged_in(A)
        socket = ("workspace", "python3", "-c", _ASK_THE_SOCKET)
        assert '"condition": "' in pod.execute(*socket, "GET", "/v1/status").stdout
        assert "attempt_ids" in pod.execute(*socket, "POST", "/v1/renew").stdout
        loopback = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8719/v1/status').status)"
        assert pod.execute("workspace", "python3", "-c", loopback).stdout == "200\n"
        assert pod.execute("workspace", "touch", "/run/registry-agent/file").returncode != 0


_ASK_THE_SOCKET: Final = """
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect("/run/registry-agent/agent.sock")
lines = [f"{sys.argv[1]} {sys.argv[2]} HTTP/1.1", "Host: agent", "Connection: close", "Content-Length: 2", "", "{}"]
connection.sendall("\\r\\n".join(lines).encode())
print(b"".join(iter(lambda: connection.recv(65536), b"")).decode())
"""


def test_a_restart_keeps_what_a_person_did(machine: Machine, tmp_path: Path) -> None:
    """After a kill and a new start, the agent knows which logins are its own, and leaves a person's alone."""
    given = {("secret", "registry-login"): login(A, "ada")}
    pod = Pod(machine, pod_spec(objects(EXAMPLE)), given, tmp_path / "log")
    by_hand = f"echo {PASSWORDS['dee']} | docker login {A} --username dee --password-stdin"
    with pod.running() as process:
        pod.wait_logged_in(A)
        assert pod.execute("workspace", "sh", "-c", by_hand).returncode == 0
        of_the_person = docker_config_of(pod)
        until("the agent to notice", lambda: "login_overridden" in codes(pod))
        process.send_signal(signal.SIGKILL)
    with pod.running():
        until("the agent to notice again", lambda: "login_overridden" in codes(pod))
        assert docker_config_of(pod) == of_the_person


def codes(pod: Pod) -> set[str]:
    return {warning["code"] for warning in pod.status()["warnings"]}


def test_an_agent_without_anything_is_well(machine: Machine, tmp_path: Path) -> None:
    """Without any secret, on a read-only root and without capabilities, the agent runs, and both probes succeed."""
    pod = Pod(machine, pod_spec(objects(EKS)), {("token", "sts.amazonaws.com"): {"token": "x"}}, tmp_path / "log")
    with pod.running():
        pod.status()
        assert probe(pod, "livenessProbe") == 0
        assert probe(pod, "readinessProbe") == 0
        assert pod.execute("registry-agent", "touch", "/file", "/run/file").returncode != 0


def test_a_silent_registry_holds_up_ready_alone(machine: Machine, tmp_path: Path) -> None:
    """While a registry stays silent, the agent is alive but not ready. The workspace already uses the other login."""
    silent = {"name": "silent", "hostname": SILENT, "username": "ada", "password": "p"}
    given = {
        ("secret", "registry-secrets"): {"silent.json": json.dumps(silent)},
        ("secret", "registry-login"): login(A, "ada"),
        ("token", "sts.amazonaws.com"): {"token": "x"},
    }
    pod = Pod(machine, pod_spec(objects(EKS)), given, tmp_path / "log")
    with machine.silent(SILENT), pod.running():
        until("an answer", lambda: probe(pod, "livenessProbe") == 0)
        assert probe(pod, "readinessProbe", patience="1") == 1
        until("the other login", lambda: "no such manifest" in asks(pod, A))
        assert probe(pod, "readinessProbe", patience="1") == 1


def probe(pod: Pod, which: str, patience: str | None = None) -> int:
    """Return the exit code that the kubelet would get from a probe's command."""
    command = list(container(pod_spec(objects(EKS)), "registry-agent")[which]["exec"]["command"])
    if patience is not None:
        command[-1] = patience
    return pod.execute("registry-agent", *command).returncode


def test_a_web_identity_and_metrics_for_prometheus(machine: Machine, tmp_path: Path) -> None:
    """The agent logs in to ECR with the pod's own token, and serves metrics only to clients with the status token."""
    (ecr_json,) = (item["data"] for item in objects(EKS) if item["kind"] == "ConfigMap")
    given = {
        ("configMap", "registry-list"): ecr_json,
        ("token", "sts.amazonaws.com"): {"token": "a-web-identity-token"},
        ("secret", "registry-agent-status"): {"token": "a-status-token"},
    }
    pod = Pod(machine, pod_spec(objects(EKS)), given, tmp_path / "log")
    with cloud_on(machine, "http://127.0.0.1:5000") as cloud, pod.running():
        cloud.aws.web_identities["a-web-identity-token"] = "system:serviceaccount:default:workspace"
        pod.wait_logged_in(ECR)
        (row,) = pod.status()["registries"]
        assert row["identity"].startswith("arn:aws:sts::123456789012:assumed-role/pull/registry-agent-")
        assert cloud.aws.count("sts:AssumeRoleWithWebIdentity") == 1

        assert scrape(pod, None) == scrape(pod, "a-wrong-token") == "403"
        assert "registry_agent_registry_logged_in" in scrape(pod, "a-status-token")
        assert pod.execute("workspace", "ls", "/run/secrets").returncode != 0
