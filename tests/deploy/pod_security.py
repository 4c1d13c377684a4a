"""The Pod Security Standard `restricted`, rule by rule.

From kubernetes.io/docs/concepts/security/pod-security-standards.
"""

from collections.abc import Iterator
from typing import Any, Final

from tests.deploy.manifests import containers

Object = dict[str, Any]

_VOLUMES: Final = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
_PROFILES: Final = ("RuntimeDefault", "Localhost")
_SELINUX_TYPES: Final = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
_SYSCTLS: Final = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
}


def violations(spec: Object) -> list[str]:
    """Return a description of each rule that a pod breaks."""
    return [*_of_the_pod(spec), *(fault for item in containers(spec) for fault in _of_a_container(spec, item))]


def _of_the_pod(spec: Object) -> Iterator[str]:
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield key
    for volume in spec.get("volumes", ()):
        if not _VOLUMES.issuperset(volume.keys() - {"name"}):
            yield f"volume {volume['name']} is of a type that is not allowed"
    for sysctl in spec.get("securityContext", {}).get("sysctls", ()):
        if sysctl["name"] not in _SYSCTLS:
            yield f"sysctl {sysctl['name']}"


def _of_a_container(spec: Object, item: Object) -> Iterator[str]:
    name, own = item["name"], item.get("securityContext", {})
    both = {**spec.get("securityContext", {}), **own}
    if own.get("privileged"):
        yield f"{name}: privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: allowPrivilegeEscalation is not false"
    if own.get("procMount", "Default") != "Default":
        yield f"{name}: procMount"
    if both.get("windowsOptions", {}).get("hostProcess"):
        yield f"{name}: hostProcess"
    if both.get("runAsNonRoot") is not True:
        yield f"{name}: runAsNonRoot is not true"
    if both.get("runAsUser") == 0:
        yield f"{name}: runAsUser is 0"
    if both.get("seccompProfile", {}).get("type") not in _PROFILES:
        yield f"{name}: no seccomp profile"
    if both.get("appArmorProfile", {}).get("type", "RuntimeDefault") not in _PROFILES:
        yield f"{name}: appArmorProfile"
    selinux = both.get("seLinuxOptions", {})
    if selinux.get("type", "") not in _SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield f"{name}: seLinuxOptions"
    yield from _of_capabilities_and_ports(name, item, own)


def _of_capabilities_and_ports(name: str, item: Object, own: Object) -> Iterator[str]:
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", ()):
        yield f"{name}: does not drop ALL capabilities"
    if not {"NET_BIND_SERVICE"}.issuperset(capabilities.get("add", ())):
        yield f"{name}: adds capabilities"
    if any(port.get("hostPort") for port in item.get("ports", ())):
        yield f"{name}: hostPort"
    probes = [item.get(probe, {}) for probe in ("livenessProbe", "readinessProbe", "startupProbe")]
    handlers = [*probes, *item.get("lifecycle", {}).values()]
    if any(handler.get(kind, {}).get("host") for handler in handlers for kind in ("httpGet", "tcpSocket")):
        yield f"{name}: a probe of another host"
