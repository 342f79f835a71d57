"""What the checks of pods and of the network must see."""

from manifests.breaking import CONTAINER, POD, Case, Change, cut, drop, put


def _api(key: str, *, to: object) -> Change:
    return put("Deployment/api", f"{POD}/{key}", to=to)


def _runner(key: str, *, to: object) -> Change:
    return put("Deployment/runner", f"{CONTAINER}/securityContext/{key}", to=to)


HOST_PATH = [{"name": "etc", "hostPath": {"path": "/etc"}}]
SECURITY: list[Case] = [
    ("security", what, change, said)
    for what, change, said in (
        ("host network", _api("hostNetwork", to=True), "shares no namespace"),
        ("host processes", _api("hostPID", to=True), "shares no namespace"),
        ("host path", _api("volumes", to=HOST_PATH), "only safe kinds of volumes"),
        ("scratch without a bound", _api("volumes/0/emptyDir", to={}), "bounds its scratch"),
        (
            "sysctl",
            _api("securityContext/sysctls", to=[{"name": "kernel.shm_rmid_forced"}]),
            "sets no sysctl",
        ),
        ("token", _api("automountServiceAccountToken", to=True), "mounts no token"),
        ("another account", _api("serviceAccountName", to="default"), "account of its own"),
        ("service links", _api("enableServiceLinks", to=True), "no variables of Services"),
        ("privileged", _runner("privileged", to=True), "is not privileged"),
        ("escalation", _runner("allowPrivilegeEscalation", to=True), "cannot gain privileges"),
        ("capabilities kept", _runner("capabilities", to={}), "drops all capabilities"),
        ("capability added", _runner("capabilities/add", to=["NET_RAW"]), "adds no capability"),
        ("root again", _runner("runAsNonRoot", to=False), "may not run as root"),
        ("user 0", _runner("runAsUser", to=0), "has a numeric user"),
        ("seccomp off", _runner("seccompProfile", to={"type": "Unconfined"}), "confined by seccomp"),
        (
            "no seccomp",
            cut("CronJob/doctor", f"/spec/jobTemplate{POD}/securityContext/seccompProfile"),
            "CronJob/doctor: container doctor: not so: is confined",
        ),
        ("host port", put("Deployment/api", f"{CONTAINER}/ports/0/hostPort", to=80), "no port of the host"),
        ("proc", _runner("procMount", to="Unmasked"), "keeps /proc masked"),
        ("AppArmor", _runner("appArmorProfile", to={"type": "Unconfined"}), "keeps SELinux and AppArmor"),
        (
            "a host that is probed",
            put("Deployment/api", f"{CONTAINER}/livenessProbe/httpGet/host", to="10.0.0.1"),
            "names no host",
        ),
        ("writable root", _runner("readOnlyRootFilesystem", to=False), "cannot write its root"),
        ("latest", put("StatefulSet/redis", f"{CONTAINER}/image", to="redis:latest"), "fixed image"),
        ("no tag", put("StatefulSet/redis", f"{CONTAINER}/image", to="redis"), "fixed image"),
        ("no request", cut("StatefulSet/redis", f"{CONTAINER}/resources/requests/cpu"), "requests CPU"),
        ("no limit", cut("Deployment/scheduler", f"{CONTAINER}/resources/limits"), "limits its memory"),
        ("CPU limit", put("Deployment/api", f"{CONTAINER}/resources/limits/cpu", to="1"), "not its CPU"),
        (
            "a namespace that holds nobody to it",
            put(
                "Namespace/millstream", "/metadata/labels/pod-security.kubernetes.io~1enforce", to="baseline"
            ),
            "enforce is not restricted",
        ),
        ("account", cut("ServiceAccount/redis", "/automountServiceAccountToken"), "hands out tokens"),
    )
]
NETWORK: list[Case] = [
    ("network", what, change, said)
    for what, change, said in (
        ("no denial", drop("NetworkPolicy/default-deny"), "open without need: stranger > internet 443/TCP"),
        ("no way in", drop("NetworkPolicy/api"), "needed and closed: client > api 8000/TCP"),
        ("no way out", drop("NetworkPolicy/redis-clients"), "needed and closed: scheduler > redis 6379/TCP"),
        (
            "no DNS",
            cut("NetworkPolicy/redis-clients", "/spec/egress/0"),
            "needed and closed: runner > dns 53/UDP",
        ),
        (
            "for all",
            cut("NetworkPolicy/redis", "/spec/ingress/0/from"),
            "open without need: neighbour > redis",
        ),
        (
            "all ports",
            cut("NetworkPolicy/api", "/spec/ingress/0/ports"),
            "open without need: client > api 8001",
        ),
        (
            "for all namespaces",
            put("NetworkPolicy/redis", "/spec/ingress/0/from", to=[{"namespaceSelector": {}}]),
            "open without need: neighbour > redis",
        ),
        (
            "for all pods beside Prometheus",
            cut("NetworkPolicy/redis-exporter", "/spec/ingress/0/from/0/podSelector"),
            "open without need: grafana > redis-exporter",
        ),
        (
            "a label lost",
            cut("Deployment/runner", "/spec/template/metadata/labels/millstream~1redis-client"),
            "needed and closed: runner > redis",
        ),
    )
]
CASES = [*SECURITY, *NETWORK]
ELSEWHERE: list[Case] = [
    (
        "network",
        "the metadata service",
        cut("NetworkPolicy/runner-to-internet", "/spec/egress/0/to/0/ipBlock/except"),
        "open without need: runner > metadata 443/TCP",
    ),
]
