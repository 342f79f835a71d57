"""The kinds of KEDA and of the Prometheus operator, of which Kubernetes has no schema: field by field."""

import re
from collections.abc import Iterator

from manifests.agreement import SECRET, environment
from manifests.kustomizations import Object, Objects
from manifests.objects import named, of_kind, pods_of, title
from millstream.protocol.keys import Keys
from millstream.settings import Settings

API = {
    "ScaledObject": "keda.sh/v1alpha1",
    "TriggerAuthentication": "keda.sh/v1alpha1",
    "ServiceMonitor": "monitoring.coreos.com/v1",
    "PrometheusRule": "monitoring.coreos.com/v1",
}
SCALED = {"scaleTargetRef", "minReplicaCount", "maxReplicaCount", "advanced", "triggers"}
TRIGGER = {"address", "addressFromEnv", "databaseIndex", "stream", "streamLength", "enableTLS"}
PARAMETERS = {"username", "password"}
RULE = {"alert", "expr", "for", "labels", "annotations"}
# Those of redis_exporter and of kube-state-metrics that we ask for, as their documents spell them.
METRICS = {
    "redis_stream_length",
    "redis_memory_used_bytes",
    "redis_memory_max_bytes",
    "redis_aof_last_write_status",
    "redis_aof_last_bgrewrite_status",
    "redis_aof_enabled",
    "redis_up",
    "kube_deployment_status_replicas_available",
    "kube_job_status_failed",
    "kube_cronjob_status_last_schedule_time",
}
KEYS = Keys(0, 1)
STREAMS = {KEYS.workflows, KEYS.tasks, KEYS.reports, KEYS.dead_letters}


def custom(objects: Objects) -> Iterator[str]:
    """Say what is wrong with the objects that no schema covers."""
    for kind, version in API.items():
        for each in of_kind(objects, kind):
            if each["apiVersion"] != version:
                yield f"{title(each)}: {kind} is of {version}"
    for each in of_kind(objects, "ScaledObject"):
        yield from (f"{title(each)}: {what}" for what in _scaled(objects, each["spec"]))
    for each in of_kind(objects, "ServiceMonitor"):
        if (
            set(each["spec"]) != {"selector", "endpoints"}
            or each["spec"]["endpoints"][0]["path"] != "/metrics"
        ):
            yield f"{title(each)}: scrapes {each['spec']['endpoints']}"
    for each in of_kind(objects, "PrometheusRule"):
        for group in each["spec"]["groups"]:
            yield from (f"{rule['alert']}: {what}" for rule in group["rules"] for what in _rule(rule))
    if of_kind(objects, "ServiceMonitor"):
        yield from _exporter(objects)


def _scaled(objects: Objects, spec: Object) -> Iterator[str]:
    yield from (f"{key} is not known" for key in spec.keys() - SCALED)
    (trigger,) = spec["triggers"]
    metadata = trigger["metadata"]
    yield from (f"{key} is not what it should scale on" for key in metadata.keys() - TRIGGER)
    yield from (
        f"{key}: {value!r} is no string" for key, value in metadata.items() if not isinstance(value, str)
    )
    if trigger["type"] != "redis-streams" or metadata["stream"] != KEYS.tasks:
        yield f"watches {trigger['type']} {metadata['stream']}"
    if not 0 < int(metadata["streamLength"]) <= Settings().runner_slots:
        yield f"asks for a runner each {metadata['streamLength']} tasks"
    if _address(objects, metadata) not in {"redis.millstream.svc:6379", SECRET["address"]}:
        yield f"asks {_address(objects, metadata)}"
    if not 1 <= spec["minReplicaCount"] <= spec["maxReplicaCount"]:
        yield "may scale to nothing"
    login = named(objects, "TriggerAuthentication", trigger["authenticationRef"]["name"])["spec"][
        "secretTargetRef"
    ]
    for each in login:
        if (
            each["parameter"] not in PARAMETERS
            or each["name"] != "millstream-redis"
            or each["key"] not in SECRET
        ):
            yield f"logs in with {each}"
    if "addressFromEnv" in metadata and (
        metadata.get("enableTLS") != "true" or len(login) != len(PARAMETERS)
    ):
        yield "speaks to a managed Redis without TLS or without its user"


def _address(objects: Objects, metadata: dict[str, str]) -> str | None:
    """Where KEDA asks: it takes the variable from the runner's first container."""
    if "addressFromEnv" in metadata:
        container = pods_of(objects, "runner").containers[0]
        return environment(objects, container).get(metadata["addressFromEnv"])
    return metadata["address"]


def _rule(rule: Object) -> Iterator[str]:
    if rule.keys() - RULE or not {"alert", "expr", "labels", "annotations"} <= rule.keys():
        yield f"has the fields {sorted(rule)}"
    asked = set(re.findall(r"\b(?:redis|kube)_\w+", rule["expr"]))
    if not asked or asked - METRICS:
        yield f"asks for {sorted(asked - METRICS)}"
    if rule["expr"].count('namespace="millstream"') < len(re.findall(r"\b(?:redis|kube)_\w+", rule["expr"])):
        yield "looks into other namespaces"
    named_streams = {
        name for found in re.findall(r'stream=~?"([^"]+)"', rule["expr"]) for name in found.split("|")
    }
    yield from (f"there is no stream {name}" for name in named_streams - STREAMS)
    if rule["alert"] == "MillstreamBacklog" and f"> {Settings().max_backlog * 8 // 10}" not in rule["expr"]:
        yield f"is not at 80 % of {Settings().max_backlog}"


def _exporter(objects: Objects) -> Iterator[str]:
    seen = environment(objects, pods_of(objects, "redis-exporter").containers[0])
    watched = set(seen["REDIS_EXPORTER_CHECK_SINGLE_STREAMS"].split(","))
    if watched != {f"db0={name}" for name in STREAMS}:
        yield f"the exporter watches {sorted(watched)}"
    elsewhere = "REDIS_USER" in seen
    if seen["REDIS_ADDR"] != (f"rediss://{SECRET['address']}" if elsewhere else "redis://redis:6379"):
        yield f"the exporter asks {seen['REDIS_ADDR']}"
