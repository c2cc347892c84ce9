"""The controls of Pod Security's restricted level, those of its baseline included, for pods on Linux.

Read in k8s.io/pod-security-admission v0.37: each function yields what is wrong, nothing where all is well, and nothing
where a preview cannot know it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from inference_policy.resource import UNKNOWN, at, listed, mapping

Spec = Mapping[str, Any]
_VOLUMES: Final = frozenset(
    {
        "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected",
        "secret",
    }
)  # fmt: skip
_SYSCTLS: Final = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)
_SECCOMP: Final = frozenset({"RuntimeDefault", "Localhost"})
_SELINUX: Final = frozenset({None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
_PROBES: Final = (("livenessProbe",), ("readinessProbe",), ("startupProbe",))
_HOOKS: Final = (("lifecycle", "preStop"), ("lifecycle", "postStart"))


def _host_namespaces(pod: Spec) -> Iterator[str]:
    shared = [key for key in ("hostNetwork", "hostPID", "hostIPC") if at(pod, key) is True]
    yield from (f"{key} is on; take it out" for key in shared)


def _volumes(pod: Spec) -> Iterator[str]:
    for volume in listed(pod, "volumes"):
        for kind in sorted(set(mapping(volume)) - _VOLUMES - {"name"}):
            yield f"volume {at(volume, 'name')} is a {kind}; use a claim"


def _sysctls(pod: Spec) -> Iterator[str]:
    asked = [at(each, "name") for each in listed(pod, "securityContext", "sysctls")]
    yield from (f"sysctl {name} is not safe; take it out" for name in asked if name not in (*_SYSCTLS, UNKNOWN))


def _privileged(container: Spec, _: Spec) -> Iterator[str]:
    if at(container, "securityContext", "privileged") is True:
        yield "is privileged; take that out"


def _escalation(container: Spec, _: Spec) -> Iterator[str]:
    if at(container, "securityContext", "allowPrivilegeEscalation") not in (False, UNKNOWN):
        yield "may gain privileges; set securityContext.allowPrivilegeEscalation: false"


def _capabilities(container: Spec, _: Spec) -> Iterator[str]:
    capabilities = at(container, "securityContext", "capabilities")
    if UNKNOWN in (capabilities, at(capabilities, "drop")):
        return
    if "ALL" not in listed(capabilities, "drop"):
        yield "keeps capabilities; set securityContext.capabilities.drop: [ALL]"
    if added := [str(each) for each in listed(capabilities, "add") if each not in ("NET_BIND_SERVICE", UNKNOWN)]:
        yield f"adds capabilities {', '.join(added)}; take them out"


def _host_ports(container: Spec, _: Spec) -> Iterator[str]:
    if any(at(each, "hostPort") not in (None, 0, UNKNOWN) for each in listed(container, "ports")):
        yield "takes a port of its node; use a Service"


def _runs_as_root(container: Spec, pod: Spec) -> Iterator[str]:
    if _inherited("runAsNonRoot", container, pod) not in (True, UNKNOWN):
        yield "may run as root; set securityContext.runAsNonRoot: true"


def _user(container: Spec, pod: Spec) -> Iterator[str]:
    if _inherited("runAsUser", container, pod) == 0:
        yield "runs as user 0; set another in securityContext.runAsUser"


def _seccomp(container: Spec, pod: Spec) -> Iterator[str]:
    profile = _inherited("seccompProfile", container, pod)
    if UNKNOWN not in (profile, at(profile, "type")) and at(profile, "type") not in _SECCOMP:
        yield "has no seccomp profile; set securityContext.seccompProfile.type: RuntimeDefault"


def _mandatory_access(container: Spec, pod: Spec) -> Iterator[str]:
    for context in (at(container, "securityContext"), at(pod, "securityContext")):
        if at(context, "appArmorProfile", "type") == "Unconfined":
            yield "turns AppArmor off; take that out"
        selinux = mapping(context, "seLinuxOptions")
        if selinux.get("type") not in (*_SELINUX, UNKNOWN) or selinux.get("user") or selinux.get("role"):
            yield "sets SELinux options; take them out"
    if at(container, "securityContext", "procMount") not in (None, "Default", UNKNOWN):
        yield "sees all of /proc; take procMount out"


def _probe_hosts(container: Spec, _: Spec) -> Iterator[str]:
    for path in (*_PROBES, *_HOOKS):
        for action in ("httpGet", "tcpSocket"):
            if at(container, *path, action, "host") not in (None, "", UNKNOWN):
                yield f"{path[-1]} asks a host of its own choice; take {action}.host out"


def _inherited(key: str, container: Spec, pod: Spec) -> Any:
    own = at(container, "securityContext", key)
    return at(pod, "securityContext", key) if own is None else own


POD_CONTROLS: Final[Mapping[str, Callable[[Spec], Iterator[str]]]] = {
    "host-namespaces": _host_namespaces,
    "volumes": _volumes,
    "sysctls": _sysctls,
}
CONTAINER_CONTROLS: Final[Mapping[str, Callable[[Spec, Spec], Iterator[str]]]] = {
    "privileged": _privileged,
    "escalation": _escalation,
    "capabilities": _capabilities,
    "host-ports": _host_ports,
    "runs-as-root": _runs_as_root,
    "user": _user,
    "seccomp": _seccomp,
    "mandatory-access": _mandatory_access,
    "probe-hosts": _probe_hosts,
}
NAMES: Final[Sequence[str]] = (*POD_CONTROLS, *CONTAINER_CONTROLS)
