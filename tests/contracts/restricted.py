"""Kubernetes' Pod Security Standard `restricted`, as far as a pod's spec and annotations can break it.

After the standard's own table (kubernetes.io, Pod Security Standards): baseline and restricted controls for Linux pods.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
SECCOMP = {"RuntimeDefault", "Localhost"}
SELINUX = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
#: Where AppArmor's profiles were named before pods had a field for them: by container, still read.
APPARMOR = "container.apparmor.security.beta.kubernetes.io/"


def violations(spec: Mapping[str, Any], annotations: Mapping[str, str] | None = None) -> list[str]:
    """What of a pod's spec and annotations the profile `restricted` refuses; [] for a pod that it admits."""
    return [
        *_pod(spec),
        *(f"{c['name']}: {what}" for c in _containers(spec) for what in _container(spec, c)),
        *(
            f"{key.removeprefix(APPARMOR)}: AppArmor's profile is {value}"
            for key, value in (annotations or {}).items()
            if key.startswith(APPARMOR) and value not in ("", "runtime/default") and not value.startswith("localhost/")
        ),
    ]


def _containers(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(kind) or []


def _pod(spec: Mapping[str, Any]) -> Iterator[str]:
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield name
    for volume in spec.get("volumes") or []:
        if kinds := set(volume) - {"name"} - VOLUMES:
            yield f"volume {volume['name']} is a {', '.join(sorted(kinds))}"
    context = spec.get("securityContext") or {}
    if context.get("runAsUser") == 0:
        yield "runAsUser 0"
    if context.get("sysctls"):
        yield "sysctls"
    yield from _mandatory(context)


def _mandatory(context: Mapping[str, Any]) -> Iterator[str]:
    """Mandatory access control, of a pod's or a container's context: a kind that confines, and nobody else's role."""
    selinux = context.get("seLinuxOptions") or {}
    if selinux.get("type", "") not in SELINUX:
        yield f"seLinuxOptions.type is {selinux['type']}"
    yield from (f"seLinuxOptions.{name}" for name in ("user", "role") if selinux.get(name))
    apparmor = (context.get("appArmorProfile") or {}).get("type", "RuntimeDefault")
    if apparmor not in ("RuntimeDefault", "Localhost"):
        yield f"appArmorProfile is {apparmor}"


def _container(spec: Mapping[str, Any], container: Mapping[str, Any]) -> Iterator[str]:
    pod, own = spec.get("securityContext") or {}, container.get("securityContext") or {}
    if own.get("privileged"):
        yield "privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation is not false"
    if not own.get("runAsNonRoot", pod.get("runAsNonRoot")):
        yield "runAsNonRoot is not true"
    if own.get("runAsUser") == 0:
        yield "runAsUser 0"
    capabilities = own.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or []):
        yield "does not drop ALL capabilities"
    if set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}:
        yield "adds capabilities"
    seccomp = (own.get("seccompProfile") or pod.get("seccompProfile") or {}).get("type")
    if seccomp not in SECCOMP:
        yield f"seccompProfile is {seccomp}"
    if own.get("procMount", "Default") != "Default":
        yield "procMount"
    if any(port.get("hostPort") for port in container.get("ports") or []):
        yield "hostPort"
    yield from _mandatory(own)
