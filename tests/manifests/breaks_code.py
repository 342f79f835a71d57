"""What the checks against the code must see."""

from manifests.breaking import CONTAINER, POD, Case, cut, put, setting

URL = f"{CONTAINER}/env/1/value"
CASES: list[Case] = [
    ("settings", "name", setting("SLOTS", "5"), "MILLSTREAM_SLOTS is no setting"),
    ("settings", "value", setting("LEASE_SECONDS", "0"), "MILLSTREAM_LEASE_SECONDS"),
    (
        "settings",
        "Redis's name",
        put("Deployment/api", URL, to="redis://:$(REDIS_PASSWORD)@redis-0:6379/0"),
        "no Service is redis-0:6379",
    ),
    ("settings", "no password", put("Deployment/api", URL, to="redis://redis:6379/0"), "has no password"),
    (
        "secrets",
        "key",
        put("Deployment/api", f"{CONTAINER}/env/0/valueFrom/secretKeyRef/key", to="pass"),
        "no Secret millstream-redis with pass",
    ),
    (
        "commands",
        "module",
        put("Deployment/api", f"{CONTAINER}/command", to=["python", "-m", "web"]),
        "Deployment/api: no such command",
    ),
    (
        "commands",
        "doctor",
        put("CronJob/doctor", f"/spec/jobTemplate{CONTAINER}/command/1", to="audit"),
        "CronJob/doctor: no such command",
    ),
    (
        "commands",
        "version",
        put("Deployment/api", f"{CONTAINER}/image", to="millstream:0.0.9"),
        "of this version",
    ),
    (
        "commands",
        "user",
        put("Deployment/api", f"{POD}/securityContext/runAsUser", to=1000),
        "as another user",
    ),
    ("probing", "host", setting("API_HOST", "127.0.0.1"), "where no probe reaches it"),
    ("probing", "health port", setting("HEALTH_PORT", "8002"), "asks port 8001, the process serves 8002"),
    ("probing", "api port", setting("API_PORT", "80"), "asks port 8000, the process serves 80"),
    ("probing", "none", cut("Deployment/runner", f"{CONTAINER}/startupProbe"), "has only the probes"),
    (
        "probing",
        "liveness that is Redis's",
        put("Deployment/api", f"{CONTAINER}/livenessProbe/httpGet/path", to="/health/ready"),
        "liveness asks /health/ready, which answers 503 while Redis is away",
    ),
    (
        "probing",
        "path",
        put("Deployment/runner", f"{CONTAINER}/startupProbe/httpGet/path", to="/healthz"),
        "startup asks /healthz, which answers 404",
    ),
    (
        "probing",
        "readiness of nothing",
        put("Deployment/scheduler", f"{CONTAINER}/readinessProbe/httpGet/path", to="/health/live"),
        "readiness asks /health/live, which answers 200 while Redis is away",
    ),
    (
        "stalls",
        "an impatient probe",
        put("Deployment/runner", f"{CONTAINER}/livenessProbe/failureThreshold", to=3),
        "Deployment/runner: killed after 25 s",
    ),
    ("stalls", "a patient process", setting("LOOP_STALL_SECONDS", "60"), "would end itself after 60"),
    (
        "grace",
        "short",
        put("Deployment/runner", f"{POD}/terminationGracePeriodSeconds", to=30),
        "Deployment/runner: has 30 s to stop",
    ),
    ("grace", "long tasks", setting("GRACE_SECONDS", "60"), "Deployment/runner: has 45 s to stop"),
    ("grace", "no sleep", cut("Deployment/api", f"{CONTAINER}/lifecycle"), "it sleeps 0 s"),
    (
        "grace",
        "failures that stay",
        cut("CronJob/doctor", "/spec/jobTemplate/spec/ttlSecondsAfterFinished"),
        "would be told for ever",
    ),
    (
        "grace",
        "tries",
        cut("CronJob/doctor", "/spec/jobTemplate/spec/podFailurePolicy"),
        "would be tried away",
    ),
    ("tasks", "none", setting("TASKS", ""), "the runners have no tasks"),
    ("tasks", "module", setting("TASKS", "millstream.demos"), "there is no module millstream.demos"),
]
