"""Whether what names something else names the right thing: selectors, ports, ConfigMaps, accounts, scaling targets."""

from collections.abc import Iterator

from manifests.kustomizations import Object, Objects
from manifests.objects import (
    COMPONENT,
    NAME,
    SERVICES,
    Pods,
    all_pods,
    of_kind,
    pods_of,
    probes,
    selects,
    title,
)

KEPT = {*SERVICES, "redis"}  # what a drain must respect


def _taken(objects: Objects, selector: Object) -> set[str]:
    return {pods.name for pods in all_pods(objects) if selects(selector, pods.labels)}


def selectors(objects: Objects) -> Iterator[str]:
    """Name each selector that takes other pods than those it is meant for."""
    for each, selector, meant in _selectors(objects):
        taken = _taken(objects, selector)
        if taken != meant:
            yield f"{title(each)}: selects {sorted(taken)}, is meant for {sorted(meant)}"
    for pods in all_pods(objects):
        if pods.labels.get(NAME) != "millstream" or pods.component != pods.name:
            yield f"{pods.owner}: its pods are labelled {pods.labels}"


def _selectors(objects: Objects) -> Iterator[tuple[Object, Object, set[str]]]:
    for each in of_kind(objects, "Deployment", "StatefulSet"):
        yield each, each["spec"]["selector"], {each["metadata"]["name"]}
        for spread in each["spec"]["template"]["spec"].get("topologySpreadConstraints", []):
            yield each, spread["labelSelector"], {each["metadata"]["name"]}
    for each in of_kind(objects, "Service"):
        yield each, {"matchLabels": each["spec"]["selector"]}, {each["metadata"]["labels"][COMPONENT]}
    for each in of_kind(objects, "PodDisruptionBudget"):
        yield each, each["spec"]["selector"], {each["metadata"]["name"]}
    for each in of_kind(objects, "NetworkPolicy"):
        yield each, each["spec"]["podSelector"], _meant(objects, each)


def _meant(objects: Objects, policy: Object) -> set[str]:
    """Whom a policy is for: the component that it is labelled with; Redis's clients; all."""
    if component := policy["metadata"]["labels"].get(COMPONENT):
        return {component}
    if policy["metadata"]["name"] == "redis-clients":
        return {pods.name for pods in all_pods(objects) if pods.name != "redis" and _has_password(pods)}
    return {pods.name for pods in all_pods(objects)}


def _has_password(pods: Pods) -> bool:
    return any(
        each.get("valueFrom", {}).get("secretKeyRef", {}).get("name") == "millstream-redis"
        for container in pods.containers
        for each in container.get("env", [])
    )


def ports(objects: Objects) -> Iterator[str]:
    """Name each port of a Service, probe, policy, monitor or Ingress that no container has."""
    for each in of_kind(objects, "Service"):
        pods = pods_of(objects, each["metadata"]["labels"][COMPONENT])
        for port in each["spec"]["ports"]:
            if pods.ports.get(port["targetPort"]) != port["port"]:
                yield f"{title(each)}: no container has the port {port['targetPort']} = {port['port']}"
    for pods in all_pods(objects):
        for container in pods.containers:
            asked = {probe["httpGet"]["port"] for _, probe in probes(container) if "httpGet" in probe}
            yield from (f"{pods.owner}: probes port {port}" for port in asked if port not in pods.ports)
    yield from _ports_of_policies(objects)
    yield from _ports_by_name(objects)


def _ports_of_policies(objects: Objects) -> Iterator[str]:
    for each in of_kind(objects, "NetworkPolicy"):
        let_in = {port["port"] for rule in each["spec"].get("ingress", []) for port in rule["ports"]}
        for name in _taken(objects, each["spec"]["podSelector"]):
            unknown = let_in - set(pods_of(objects, name).ports.values())
            yield from (f"{title(each)}: {name} has no port {port}" for port in unknown)


def _ports_by_name(objects: Objects) -> Iterator[str]:
    services = {each["metadata"]["name"]: each for each in of_kind(objects, "Service")}
    names = {name: {port["name"] for port in each["spec"]["ports"]} for name, each in services.items()}
    for each in of_kind(objects, "Ingress"):
        for rule in each["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                if service["port"]["name"] not in names.get(service["name"], set()):
                    yield f"{title(each)}: no such port: {service}"
    for each in of_kind(objects, "ServiceMonitor"):
        watched = [
            name
            for name, service in services.items()
            if selects(each["spec"]["selector"], service["metadata"]["labels"])
        ]
        wanted = {endpoint["port"] for endpoint in each["spec"]["endpoints"]}
        if len(watched) != 1 or not wanted <= names[watched[0]]:
            yield f"{title(each)}: watches {wanted} of {watched}"


def things(objects: Objects) -> Iterator[str]:
    """Name each account, ConfigMap, volume or headless Service that is referred to and not there."""
    there = {title(each) for each in objects}
    for pods in all_pods(objects):
        wanted = {f"ServiceAccount/{pods.spec['serviceAccountName']}"}
        for container in pods.containers:
            wanted |= {f"ConfigMap/{each['configMapRef']['name']}" for each in container.get("envFrom", [])}
        volumes = pods.spec.get("volumes", [])
        wanted |= {f"ConfigMap/{each['configMap']['name']}" for each in volumes if "configMap" in each}
        yield from (f"{pods.owner}: there is no {each}" for each in wanted - there)
    for each in of_kind(objects, "StatefulSet"):
        if f"Service/{each['spec']['serviceName']}" not in there:
            yield f"{title(each)}: has no Service"


def scaling(objects: Objects) -> Iterator[str]:
    """Name each workload whose number of pods nobody or more than one decides, and budgets that stop a drain for ever."""
    scalers: dict[str, int] = {}
    for each in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject"):
        name = each["spec"]["scaleTargetRef"]["name"]
        least = each["spec"].get("minReplicas", each["spec"].get("minReplicaCount", 0))
        if name in scalers or least < 1:
            yield f"{title(each)}: {name} is scaled twice, or to nothing"
        scalers[name] = least
    workloads = {each["metadata"]["name"]: each for each in of_kind(objects, "Deployment", "StatefulSet")}
    yield from (f"there is no {name} to scale" for name in scalers.keys() - workloads.keys())
    for name, each in workloads.items():
        if name in scalers and "replicas" in each["spec"]:
            yield f"{title(each)}: an apply sets the number of pods back that its autoscaler has chosen"
        scalers.setdefault(name, each["spec"].get("replicas", 1))
    yield from _budgets(objects, scalers)


def _budgets(objects: Objects, least: dict[str, int]) -> Iterator[str]:
    budgets = {each["metadata"]["name"]: each["spec"] for each in of_kind(objects, "PodDisruptionBudget")}
    yield from (f"{name} has no PodDisruptionBudget" for name in (KEPT & least.keys()) - budgets.keys())
    for name, spec in budgets.items():
        kept = spec.get("minAvailable", 0)
        if not isinstance(kept, int) or spec.get("maxUnavailable", 1) == 0 or kept >= least.get(name, 1):
            yield f"PodDisruptionBudget/{name}: a drain would wait for ever"
        if spec.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield f"PodDisruptionBudget/{name}: a pod that is not ready would stop a drain"


def rollouts(objects: Objects) -> Iterator[str]:
    """Name each Deployment that does not say how it is rolled out."""
    for each in of_kind(objects, "Deployment"):
        spec = each["spec"]
        rolling = spec.get("strategy", {}).get("rollingUpdate", {})
        if rolling.get("maxUnavailable") != 0 or not rolling.get("maxSurge"):
            yield f"{title(each)}: a rollout may take a pod away before another is ready"
        if "revisionHistoryLimit" not in spec:
            yield f"{title(each)}: keeps ten old ReplicaSets"
    for name in SERVICES:
        spread = pods_of(objects, name).spec.get("topologySpreadConstraints", [])
        keys = {each["topologyKey"] for each in spread if each["whenUnsatisfiable"] == "ScheduleAnyway"}
        if keys != {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}:
            yield f"{name}: is spread over {keys}"
