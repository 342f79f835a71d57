"""What the checks of Redis, KEDA and the monitoring must see."""

from manifests.breaking import CONTAINER, POD, Case, cut, put, redis_conf

TRIGGER = "/spec/triggers/0/metadata"
BACKLOG, DEAD, DOWN = (f"/spec/groups/0/rules/{number}" for number in (0, 1, 5))
RULES = "PrometheusRule/millstream"
STORE: list[Case] = [
    ("store", what, change, said)
    for what, change, said in (
        ("no file", redis_conf("appendonly yes", "appendonly no"), "appendonly is no"),
        ("eviction", redis_conf("noeviction", "allkeys-lru"), "maxmemory-policy is allkeys-lru"),
        ("memory", redis_conf("maxmemory 2gb", "maxmemory 3gb"), "maxmemory 3gb does not fit into 5Gi"),
        ("disk", redis_conf("maxmemory 2gb", "maxmemory 9gb"), "disk is too small"),
        ("folder", redis_conf("dir /data", "dir /tmp"), "dir is /tmp"),
        (
            "not reserved",
            put("StatefulSet/redis", f"{CONTAINER}/resources/requests/memory", to="1Gi"),
            "memory is not reserved",
        ),
        ("password", cut("StatefulSet/redis", f"{CONTAINER}/args/2"), "takes no password"),
        (
            "killed while it loads",
            put(
                "StatefulSet/redis", f"{CONTAINER}/livenessProbe/exec/command", to=["redis-cli", "-e", "ping"]
            ),
            "liveness: a Redis that loads",
        ),
        (
            "ready while it loads",
            put("StatefulSet/redis", f"{CONTAINER}/readinessProbe/exec/command", to=["redis-cli", "ping"]),
            "readiness: a Redis that loads",
        ),
        (
            "end",
            put("StatefulSet/redis", f"{POD}/terminationGracePeriodSeconds", to=30),
            "killed while it writes",
        ),
        ("group", cut("StatefulSet/redis", f"{POD}/securityContext/fsGroup"), "to write its volume"),
        (
            "data that goes",
            put("StatefulSet/redis", "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted", to="Delete"),
            "its data goes",
        ),
        ("order", cut("StatefulSet/redis", "/spec/podManagementPolicy"), "would not be replaced"),
        ("two", put("StatefulSet/redis", "/spec/replicas", to=2), "two engines"),
        (
            "mount",
            put("StatefulSet/redis", f"{CONTAINER}/volumeMounts/0/mountPath", to="/var"),
            "folders elsewhere",
        ),
    )
]
CUSTOM: list[Case] = [
    ("custom", what, change, said)
    for what, change, said in (
        ("version", put("ScaledObject/runner", "/apiVersion", to="keda.k8s.io/v1alpha1"), "is of keda.sh"),
        (
            "group",
            put("ScaledObject/runner", f"{TRIGGER}/consumerGroup", to="runners"),
            "consumerGroup is not what",
        ),
        ("stream", put("ScaledObject/runner", f"{TRIGGER}/stream", to="jobs"), "watches redis-streams jobs"),
        ("number", put("ScaledObject/runner", f"{TRIGGER}/streamLength", to=100), "100 is no string"),
        (
            "target",
            put("ScaledObject/runner", f"{TRIGGER}/streamLength", to="1000"),
            "a runner each 1000 tasks",
        ),
        ("address", put("ScaledObject/runner", f"{TRIGGER}/address", to="redis:6379"), "asks redis:6379"),
        ("field", put("ScaledObject/runner", "/spec/minReplicas", to=1), "minReplicas is not known"),
        ("nothing", put("ScaledObject/runner", "/spec/minReplicaCount", to=0), "may scale to nothing"),
        (
            "login",
            put("TriggerAuthentication/millstream-redis", "/spec/secretTargetRef/0/key", to="pw"),
            "logs in with",
        ),
        (
            "scraping",
            put("ServiceMonitor/redis-exporter", "/spec/endpoints/0/path", to="/"),
            "ServiceMonitor/redis-exporter: scrapes",
        ),
        ("limit", put(RULES, f"{BACKLOG}/expr", to='redis_up{namespace="millstream"} > 1'), "is not at 80 %"),
        (
            "metric",
            put(RULES, f"{DOWN}/expr", to='redis_alive{namespace="millstream"} == 0'),
            "['redis_alive']",
        ),
        ("everywhere", put(RULES, f"{DOWN}/expr", to="redis_up == 0"), "looks into other namespaces"),
        (
            "no stream",
            put(RULES, f"{DEAD}/expr", to='redis_stream_length{namespace="millstream", stream="dead"} > 0'),
            "there is no stream dead",
        ),
        ("rule", put(RULES, f"{BACKLOG}/after", to="5m"), "has the fields"),
        (
            "not watched",
            put("Deployment/redis-exporter", f"{CONTAINER}/env/2/value", to="db0=workflows"),
            "the exporter watches",
        ),
        (
            "asked",
            put("Deployment/redis-exporter", f"{CONTAINER}/env/0/value", to="redis://db:6379"),
            "the exporter asks redis://db:6379",
        ),
    )
]
CASES = [*STORE, *CUSTOM]
ELSEWHERE: list[Case] = [
    ("custom", "no TLS", cut("ScaledObject/runner", f"{TRIGGER}/enableTLS"), "without TLS"),
    (
        "custom",
        "no variable",
        put("ScaledObject/runner", f"{TRIGGER}/addressFromEnv", to="REDIS_HOST"),
        "asks None",
    ),
]
