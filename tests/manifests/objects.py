"""Finding one's way in what was built."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from manifests.kustomizations import Object, Objects

NAME, COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"
SERVICES = ("api", "scheduler", "runner")


@dataclass(frozen=True)
class Pods:
    """The pods of one workload: what they are made from."""

    owner: str
    labels: dict[str, str]
    spec: Object

    @property
    def name(self) -> str:
        """Name of the workload."""
        return self.owner.partition("/")[2]

    @property
    def component(self) -> str:
        """Which part of the engine they are."""
        return self.labels.get(COMPONENT, "")

    @property
    def containers(self) -> list[Object]:
        """All of their containers."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def ports(self) -> dict[str, int]:
        """Name and number of each port of the containers."""
        return {
            port["name"]: port["containerPort"] for each in self.containers for port in each.get("ports", [])
        }


def of_kind(objects: Objects, *kinds: str) -> Objects:
    """Give the objects of these kinds."""
    return [each for each in objects if each["kind"] in kinds]


def named(objects: Objects, kind: str, name: str) -> Object:
    """Give the one object of this kind and name."""
    (found,) = (each for each in of_kind(objects, kind) if each["metadata"]["name"] == name)
    return found


def title(each: Object) -> str:
    """Write kind and name."""
    return f"{each['kind']}/{each['metadata']['name']}"


def template(workload: Object) -> Object:
    """Give the pod template of a workload."""
    spec = workload["spec"]
    found: Object = (spec["jobTemplate"]["spec"] if workload["kind"] == "CronJob" else spec)["template"]
    return found


def all_pods(objects: Objects) -> list[Pods]:
    """Give the pods of every workload."""
    workloads = of_kind(objects, "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")
    return [
        Pods(title(each), template(each)["metadata"]["labels"], template(each)["spec"]) for each in workloads
    ]


def pods_of(objects: Objects, name: str) -> Pods:
    """Give the pods of the workload of this name."""
    (found,) = (pods for pods in all_pods(objects) if pods.name == name)
    return found


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a label selector takes these labels; an empty one takes all."""
    equal = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return equal and all(_holds(each, labels) for each in selector.get("matchExpressions", []))


def _holds(expression: Object, labels: dict[str, str]) -> bool:
    has = labels.get(expression["key"])
    match expression["operator"]:
        case "In":
            return has in expression["values"]
        case "NotIn":
            return has not in expression["values"]
        case "Exists":
            return has is not None
        case "DoesNotExist":
            return has is None
        case other:
            raise AssertionError(f"unknown operator {other}")


def config(objects: Objects, reference: str) -> dict[str, str]:
    """Give the data of a ConfigMap."""
    data: dict[str, str] = named(objects, "ConfigMap", reference)["data"]
    return data


def probes(container: Object) -> Iterator[tuple[str, Object]]:
    """Give the probes of a container by their kind."""
    for kind in ("startup", "liveness", "readiness"):
        if probe := container.get(f"{kind}Probe"):
            yield kind, probe


UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "k": 10**3, "M": 10**6, "G": 10**9}
REDIS_UNITS = {"kb": 2**10, "mb": 2**20, "gb": 2**30, "k": 10**3, "m": 10**6, "g": 10**9}


def amount(text: Any, units: dict[str, int] = UNITS) -> int:
    """Read an amount of bytes, as Kubernetes writes it or, with its units, as redis.conf does."""
    number = str(text).rstrip("".join({*"".join(units)}))
    return int(number) * units.get(str(text)[len(number) :], 1)
