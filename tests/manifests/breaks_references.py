"""What the checks of names, selectors and numbers of pods must see."""

from manifests.breaking import COMPONENT, CONTAINER, POD, Case, cut, drop, put

SPREAD = f"{POD}/topologySpreadConstraints/0"
CASES: list[Case] = [
    (
        "selectors",
        "a Service for all",
        cut("Service/api", f"/spec/selector/{COMPONENT}"),
        "Service/api: selects",
    ),
    (
        "selectors",
        "a budget for others",
        put("PodDisruptionBudget/api", f"/spec/selector/matchLabels/{COMPONENT}", to="runner"),
        "PodDisruptionBudget/api: selects ['runner']",
    ),
    (
        "selectors",
        "a policy for nobody",
        put("NetworkPolicy/api", f"/spec/podSelector/matchLabels/{COMPONENT}", to="web"),
        "NetworkPolicy/api: selects []",
    ),
    (
        "selectors",
        "spread among others",
        put("Deployment/api", f"{SPREAD}/labelSelector", to={}),
        "Deployment/api: selects",
    ),
    (
        "selectors",
        "pods of another name",
        put("Deployment/api", "/spec/template/metadata/labels/app.kubernetes.io~1name", to="mill"),
        "Deployment/api: its pods are labelled",
    ),
    ("ports", "target", put("Service/redis", "/spec/ports/0/targetPort", to="db"), "has the port db = 6379"),
    ("ports", "number", put("Service/api", "/spec/ports/0/port", to=80), "has the port http = 80"),
    ("ports", "probe", put("Deployment/api", f"{CONTAINER}/ports/0/name", to="web"), "probes port http"),
    (
        "ports",
        "policy",
        put("NetworkPolicy/redis", "/spec/ingress/0/ports/0/port", to=6380),
        "has no port 6380",
    ),
    ("ports", "Ingress", put("Service/api", "/spec/ports/0/name", to="web"), "Ingress/api: no such port"),
    (
        "ports",
        "monitor",
        put("ServiceMonitor/redis-exporter", "/spec/endpoints/0/port", to="http"),
        "ServiceMonitor/redis-exporter: watches",
    ),
    ("things", "account", drop("ServiceAccount/runner"), "there is no ServiceAccount/runner"),
    (
        "things",
        "settings",
        drop("ConfigMap/millstream-settings"),
        "there is no ConfigMap/millstream-settings",
    ),
    ("things", "headless Service", drop("Service/redis-pods"), "StatefulSet/redis: has no Service"),
    (
        "scaling",
        "a fight with KEDA",
        put("Deployment/runner", "/spec/replicas", to=2),
        "Deployment/runner: an apply",
    ),
    (
        "scaling",
        "a fight with the HPA",
        put("Deployment/api", "/spec/replicas", to=2),
        "Deployment/api: an apply",
    ),
    ("scaling", "nothing", put("ScaledObject/runner", "/spec/minReplicaCount", to=0), "or to nothing"),
    (
        "scaling",
        "twice",
        put("HorizontalPodAutoscaler/api", "/spec/scaleTargetRef/name", to="runner"),
        "runner is scaled twice",
    ),
    (
        "scaling",
        "nobody",
        put("HorizontalPodAutoscaler/api", "/spec/scaleTargetRef/name", to="web"),
        "there is no web to scale",
    ),
    ("scaling", "no budget", drop("PodDisruptionBudget/redis"), "redis has no PodDisruptionBudget"),
    (
        "scaling",
        "one of one",
        put("PodDisruptionBudget/redis", "/spec/minAvailable", to=1),
        "PodDisruptionBudget/redis: a drain would wait",
    ),
    (
        "scaling",
        "no disruption",
        put("PodDisruptionBudget/api", "/spec/maxUnavailable", to=0),
        "PodDisruptionBudget/api: a drain would wait",
    ),
    (
        "scaling",
        "pods that are not ready",
        cut("PodDisruptionBudget/api", "/spec/unhealthyPodEvictionPolicy"),
        "a pod that is not ready",
    ),
    ("rollouts", "strategy", cut("Deployment/api", "/spec/strategy"), "Deployment/api: a rollout may"),
    ("rollouts", "history", cut("Deployment/api", "/spec/revisionHistoryLimit"), "ten old ReplicaSets"),
    (
        "rollouts",
        "hard spread",
        put("Deployment/api", f"{SPREAD}/whenUnsatisfiable", to="DoNotSchedule"),
        "api: is spread over",
    ),
]
