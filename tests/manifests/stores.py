"""Redis: what its file says, whether its memory and its disk suffice, and how it is probed."""

from collections.abc import Iterator

from manifests.kustomizations import Object, Objects
from manifests.objects import REDIS_UNITS as UNITS
from manifests.objects import Pods, amount, config, named, of_kind, pods_of, probes

# The arithmetic of docs/kubernetes.md, "Redis and its memory".
FRAGMENTATION = 1.15
FORK = 2  # while the append-only file is rewritten, every page may be there twice
BESIDES = 300 * 2**20
FILES = 4  # an append-only file at its longest, and its successor, in units of the data
MUST = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
    "save": '""',
    "port": "6379",
    "dir": "/data",
    "include": "/etc/redis/memory.conf",
}


def directives(data: dict[str, str]) -> dict[str, str]:
    """Read redis.conf and what it includes."""
    lines = [line.strip() for text in data.values() for line in text.splitlines()]
    said = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return {key: value for key, _, value in said}


def store(objects: Objects) -> Iterator[str]:
    """Say what is wrong with Redis; nothing where it is elsewhere."""
    if not of_kind(objects, "StatefulSet"):
        return
    pods, workload = pods_of(objects, "redis"), named(objects, "StatefulSet", "redis")
    (container,) = pods.containers
    volume = next(each for each in pods.spec["volumes"] if "configMap" in each)
    said = directives(config(objects, volume["configMap"]["name"]))
    yield from (
        f"redis.conf: {key} is {said.get(key)}" for key, value in MUST.items() if said.get(key) != value
    )
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    claim = workload["spec"]["volumeClaimTemplates"][0]
    if mounts.get(claim["metadata"]["name"]) != said.get("dir") or mounts.get(volume["name"]) != "/etc/redis":
        yield f"redis.conf expects its folders elsewhere: {mounts}"
    if container["command"] + container["args"] != [
        "redis-server",
        "/etc/redis/redis.conf",
        "--requirepass",
        "$(REDISCLI_AUTH)",
    ]:
        yield "it does not read its file, or takes no password"
    yield from _room(said, container, claim)
    yield from _probes(pods, workload)


def _room(said: dict[str, str], container: Object, claim: Object) -> Iterator[str]:
    most = amount(said["maxmemory"], UNITS)
    limit = amount(container["resources"]["limits"]["memory"])
    if limit < most * FRAGMENTATION * FORK + BESIDES:
        yield f"maxmemory {said['maxmemory']} does not fit into {container['resources']['limits']['memory']}"
    if container["resources"]["requests"]["memory"] != container["resources"]["limits"]["memory"]:
        yield "its memory is not reserved"
    if amount(claim["spec"]["resources"]["requests"]["storage"]) < FILES * most:
        yield f"its disk is too small for maxmemory {said['maxmemory']}"


def _probes(pods: Pods, workload: Object) -> Iterator[str]:
    asked = dict(probes(pods.containers[0]))
    for kind in ("startup", "liveness"):
        # Without -e an error is an answer: LOADING and BUSY are signs of life.
        if asked[kind]["exec"]["command"] != ["redis-cli", "ping"]:
            yield f"{kind}: a Redis that loads its data would be killed"
    if asked["readiness"]["exec"]["command"] != ["redis-cli", "-e", "ping"]:
        yield "readiness: a Redis that loads its data would count as ready"
    if pods.spec["terminationGracePeriodSeconds"] < 60:
        yield "it may be killed while it writes its file out"
    if pods.spec["securityContext"].get("fsGroup") != pods.spec["securityContext"]["runAsUser"]:
        yield "it may not be able to write its volume"
    kept = workload["spec"].get("persistentVolumeClaimRetentionPolicy", {})
    if set(kept.values()) != {"Retain"}:
        yield "its data goes with it"
    if workload["spec"]["replicas"] != 1:
        yield "two of them would be two engines, by chance"
    if workload["spec"].get("podManagementPolicy") != "Parallel":
        yield "a pod that never got ready would not be replaced"
