"""Pod Security "restricted", rule by rule, and what we ask of every pod beyond it."""

from collections.abc import Callable, Iterator
from typing import Any

from manifests.kustomizations import Object, Objects
from manifests.objects import Pods, all_pods, of_kind

SAFE_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
CONFINED = {"RuntimeDefault", "Localhost"}


def _security(pods: Pods, container: Object, key: str) -> Any:
    """What holds for a container: its own setting, or else its pod's."""
    own, shared = container.get("securityContext", {}), pods.spec.get("securityContext", {})
    return own.get(key, shared.get(key))


def _volumes(pods: Pods) -> set[str]:
    return {kind for volume in pods.spec.get("volumes", []) for kind in volume if kind != "name"}


def _own(container: Object) -> Object:
    found: Object = container.get("securityContext", {})
    return found


def _handlers(container: Object) -> Iterator[Object]:
    for key in ("startupProbe", "livenessProbe", "readinessProbe"):
        yield container.get(key, {})
    yield from container.get("lifecycle", {}).values()


# The standard, version 1.35: https://kubernetes.io/docs/concepts/security/pod-security-standards/
OF_PODS: dict[str, Callable[[Pods], bool]] = {
    "shares no namespace of the host": lambda pods: (
        not any(pods.spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
    ),
    "mounts only safe kinds of volumes": lambda pods: _volumes(pods) <= SAFE_VOLUMES,
    "sets no sysctl": lambda pods: not pods.spec.get("securityContext", {}).get("sysctls"),
    # Ours: no token, no variables of Services, bounded scratch space.
    "mounts no token": lambda pods: pods.spec.get("automountServiceAccountToken") is False,
    "has an account of its own": lambda pods: pods.spec.get("serviceAccountName") == pods.name,
    "gets no variables of Services": lambda pods: pods.spec.get("enableServiceLinks") is False,
    "bounds its scratch space": lambda pods: all(
        "sizeLimit" in volume["emptyDir"] for volume in pods.spec.get("volumes", []) if "emptyDir" in volume
    ),
}
OF_CONTAINERS: dict[str, Callable[[Pods, Object], bool]] = {
    "is not privileged": lambda _, each: not _own(each).get("privileged"),
    "cannot gain privileges": lambda _, each: _own(each).get("allowPrivilegeEscalation") is False,
    "drops all capabilities": lambda _, each: "ALL" in _own(each).get("capabilities", {}).get("drop", []),
    "adds no capability": lambda _, each: (
        set(_own(each).get("capabilities", {}).get("add", [])) <= {"NET_BIND_SERVICE"}
    ),
    "may not run as root": lambda pods, each: _security(pods, each, "runAsNonRoot") is True,
    "has a numeric user": lambda pods, each: (_security(pods, each, "runAsUser") or 0) > 0,
    "is confined by seccomp": lambda pods, each: (
        (_security(pods, each, "seccompProfile") or {}).get("type") in CONFINED
    ),
    "takes no port of the host": lambda _, each: (
        not any("hostPort" in port for port in each.get("ports", []))
    ),
    "keeps /proc masked": lambda _, each: _own(each).get("procMount", "Default") == "Default",
    "keeps SELinux and AppArmor as they are": lambda pods, each: (
        _security(pods, each, "seLinuxOptions") is None and _security(pods, each, "appArmorProfile") is None
    ),
    "names no host in probes and hooks": lambda _, each: (
        not any(
            "host" in handler.get(how, {}) for handler in _handlers(each) for how in ("httpGet", "tcpSocket")
        )
    ),
    # Ours.
    "cannot write its root": lambda _, each: _own(each).get("readOnlyRootFilesystem") is True,
    "has a fixed image": lambda _, each: ":" in each["image"] and not each["image"].endswith(":latest"),
    "requests CPU and memory": lambda _, each: (
        {"cpu", "memory"} <= set(each["resources"].get("requests", {}))
    ),
    "limits its memory, and not its CPU": lambda _, each: (
        set(each["resources"].get("limits", {})) == {"memory"}
    ),
}
LEVEL = "pod-security.kubernetes.io/"


def security(objects: Objects) -> Iterator[str]:
    """Name each pod that breaks a rule, and a namespace that does not hold others to them."""
    for pods in all_pods(objects):
        yield from (f"{pods.owner}: not so: {rule}" for rule, holds in OF_PODS.items() if not holds(pods))
        for each in pods.containers:
            broken = (rule for rule, holds in OF_CONTAINERS.items() if not holds(pods, each))
            yield from (f"{pods.owner}: container {each['name']}: not so: {rule}" for rule in broken)
    for namespace in of_kind(objects, "Namespace"):
        labels = namespace["metadata"]["labels"]
        missing = [mode for mode in ("enforce", "warn", "audit") if labels.get(LEVEL + mode) != "restricted"]
        yield from (f"Namespace: {mode} is not restricted" for mode in missing)
    for account in of_kind(objects, "ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield f"ServiceAccount/{account['metadata']['name']}: hands out tokens"
