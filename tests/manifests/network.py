"""What NetworkPolicies let through: computed from the policies, as a cluster would, and compared with what is needed."""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

from manifests.kustomizations import Object, Objects
from manifests.objects import SERVICES, all_pods, of_kind, selects

OURS = "millstream"
PORTS = (
    ("UDP", 53),
    ("TCP", 53),
    ("TCP", 80),
    ("TCP", 443),
    ("TCP", 6379),
    ("TCP", 6380),
    ("TCP", 8000),
    ("TCP", 8001),
    ("TCP", 9121),
)


@dataclass(frozen=True)
class Party:
    """Somebody who may speak or listen: a pod, or an address outside of the cluster."""

    name: str
    namespace: str = ""
    labels: dict[str, str] = field(default_factory=dict, hash=False)
    about: dict[str, str] = field(default_factory=dict, hash=False)
    address: str = ""

    @property
    def ours(self) -> bool:
        """Whether our policies govern it."""
        return self.namespace == OURS

    @property
    def namespace_labels(self) -> dict[str, str]:
        """Labels of its namespace."""
        return {"kubernetes.io/metadata.name": self.namespace, **self.about}


OTHERS = (
    Party("stranger", OURS),  # a pod in our namespace that nobody has told us of
    Party("client", "shop", about={"millstream/client": "true"}),
    Party("neighbour", "other"),
    Party("dns", "kube-system", {"k8s-app": "kube-dns"}),
    Party("kube-system", "kube-system"),
    Party("keda", "keda", {"app": "keda-operator"}),
    Party("prometheus", "monitoring", {"app.kubernetes.io/name": "prometheus"}),
    Party("grafana", "monitoring"),
    Party("ingress", "traefik"),
    Party("node-dns", address="169.254.20.10"),
    Party("metadata", address="169.254.169.254"),
    Party("private", address="10.20.30.40"),
    Party("internet", address="93.184.215.14"),
    Party("internet6", address="2606:2800:21f::1"),
)


def parties(objects: Objects) -> list[Party]:
    """Everybody: our own pods and the others."""
    return [*(Party(pods.name, OURS, pods.labels) for pods in all_pods(objects)), *OTHERS]


def allowed(objects: Objects) -> set[str]:
    """Every path that is open and that our policies govern, written as `from > to port/protocol`."""
    policies = of_kind(objects, "NetworkPolicy")
    found = set()
    for source, target in product(parties(objects), repeat=2):
        if source is target or not (source.ours or target.ours):
            continue
        for protocol, port in PORTS:
            out = not source.ours or _open(policies, "Egress", source, target, protocol, port)
            if out and (not target.ours or _open(policies, "Ingress", target, source, protocol, port)):
                found.add(f"{source.name} > {target.name} {port}/{protocol}")
    return found


def _open(policies: Objects, way: str, one: Party, peer: Party, protocol: str, port: int) -> bool:
    ruling = [
        each["spec"]
        for each in policies
        if selects(each["spec"]["podSelector"], one.labels) and way in each["spec"]["policyTypes"]
    ]
    rules = [rule for spec in ruling for rule in spec.get(way.lower(), [])]
    return not ruling or any(_lets(rule, way, peer, protocol, port) for rule in rules)


def _lets(rule: Object, way: str, peer: Party, protocol: str, port: int) -> bool:
    peers = rule.get("to" if way == "Egress" else "from")
    ports = rule.get("ports")
    whom = peers is None or any(_is(each, peer) for each in peers)
    where = ports is None or any(
        (each["protocol"], each.get("port", port)) == (protocol, port) for each in ports
    )
    return whom and where


def _is(said: Object, peer: Party) -> bool:
    if block := said.get("ipBlock"):
        return bool(peer.address) and _within(block, peer.address)
    if peer.address:
        return False
    near = (
        selects(said["namespaceSelector"], peer.namespace_labels)
        if "namespaceSelector" in said
        else peer.ours
    )
    return near and selects(said.get("podSelector", {}), peer.labels)


def _within(block: Object, text: str) -> bool:
    address = ipaddress.ip_address(text)
    inside = address in ipaddress.ip_network(block["cidr"])
    return inside and not any(address in ipaddress.ip_network(each) for each in block.get("except", []))


def needed(objects: Objects) -> set[str]:
    """The paths that this installation needs, and no other."""
    names = {pods.name for pods in all_pods(objects)}
    clients = [*SERVICES, *sorted(names & {"doctor", "redis-exporter"})]
    dns = {
        f"{each} > {server} 53/{how}"
        for each in clients
        for server in ("dns", "node-dns")
        for how in ("UDP", "TCP")
    }
    redis = {f"{each} > redis 6379/TCP" for each in clients if "redis" in names}
    outside = {
        f"{each} > private {port}/TCP" for each in clients for port in (6379, 6380) if "redis" not in names
    }
    return {"client > api 8000/TCP", *dns, *redis, *outside, *_of_components(objects, names)}


def _of_components(objects: Objects, names: set[str]) -> Iterator[str]:
    policies = {each["metadata"]["name"] for each in of_kind(objects, "NetworkPolicy")}
    if of_kind(objects, "ScaledObject") and "redis" in names:
        yield "keda > redis 6379/TCP"
    if of_kind(objects, "ServiceMonitor"):
        yield "prometheus > redis-exporter 9121/TCP"
    if of_kind(objects, "Ingress"):
        yield "ingress > api 8000/TCP"
    if "runner-to-internet" in policies:
        yield from ("runner > internet 443/TCP", "runner > internet6 443/TCP")


def network(objects: Objects) -> Iterator[str]:
    """Name each path that is open and not needed, and each that is needed and closed."""
    is_open, must = allowed(objects), needed(objects)
    yield from (f"open without need: {path}" for path in sorted(is_open - must))
    yield from (f"needed and closed: {path}" for path in sorted(must - is_open))
