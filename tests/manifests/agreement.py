"""Whether the manifests say what the code means: commands, settings, ports, probes, grace periods, users, streams."""

import asyncio
import importlib.util
import inspect
import os
import re
from collections.abc import Iterator
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import httpx2

import api.service
from api.app import create_app
from manifests.kustomizations import ROOT, Object, Objects
from manifests.objects import SERVICES, Pods, all_pods, named, of_kind, pods_of, probes, title
from millstream import __version__
from millstream.cli import app as command_line
from millstream.errors import ConfigurationError
from millstream.process.health import Health
from millstream.redis.connector import ANSWER_SECONDS, CONNECT_SECONDS
from millstream.settings import Settings, load_settings
from runner.partition import FLUSH_SECONDS
from runner.slots import CANCEL_SECONDS

PREFIX = "MILLSTREAM_"
MARGIN_SECONDS = 5.0  # for what happens between the steps of stopping, on a slow node
FOUND = 1  # exit status by which `millstream doctor` says that something is wrong
# What a user keeps in the Secret millstream-redis: with the StatefulSet, and with a Redis elsewhere.
SECRET = {
    "password": "0123abcd",
    "url": "rediss://millstream:0123abcd@redis.example.com:6380/0",
    "address": "redis.example.com:6380",
    "username": "millstream",
}
PATHS = {"startup": "/health/live", "liveness": "/health/live", "readiness": "/health/ready"}


class _Away:
    """A Redis that does not answer, as the api's gateway and the others' store see it."""

    async def ping(self) -> bool:
        return False


def millstreams(objects: Objects) -> list[Pods]:
    """Give the pods that run Millstream's own image."""
    return [pods for pods in all_pods(objects) if pods.name in {*SERVICES, "doctor"}]


def environment(objects: Objects, container: Object) -> dict[str, str]:
    """What a container's process sees: envFrom, then env with Secrets filled in and $(NAME) expanded."""
    seen: dict[str, str] = {}
    for each in container.get("envFrom", []):
        seen |= named(objects, "ConfigMap", each["configMapRef"]["name"])["data"]
    for each in container.get("env", []):
        if secret := each.get("valueFrom", {}).get("secretKeyRef"):
            assert "value" not in each, f"{each['name']} has two values"
            seen[each["name"]] = SECRET[secret["key"]]
        else:
            seen[each["name"]] = re.sub(r"\$\((\w+)\)", lambda found: seen[found[1]], each["value"])
    return seen


def _settings(objects: Objects, pods: Pods) -> Settings:
    with mock.patch.dict(os.environ, environment(objects, pods.containers[0]), clear=True):
        return load_settings()


def settings(objects: Objects) -> Iterator[str]:
    """Name each variable that is no setting, each value that is refused, and each Redis that is not there."""
    services = {each["metadata"]["name"]: each for each in of_kind(objects, "Service")}
    for pods in millstreams(objects):
        seen = environment(objects, pods.containers[0])
        known = {PREFIX + name.upper() for name in Settings.model_fields}
        unknown = {name for name in seen if name.startswith(PREFIX)} - known
        yield from (f"{pods.owner}: {name} is no setting" for name in sorted(unknown))
        try:
            url = urlsplit(_settings(objects, pods).redis_url)
        except ConfigurationError as error:
            yield f"{pods.owner}: {error}"
            continue
        if url.password != SECRET["password"]:
            yield f"{pods.owner}: its Redis URL has no password of the Secret"
        ports = [
            port["port"]
            for port in services.get(url.hostname or "", {"spec": {"ports": []}})["spec"]["ports"]
        ]
        if "redis" in services and url.port not in ports:
            yield f"{pods.owner}: no Service is {url.hostname}:{url.port}"


def secrets(objects: Objects) -> Iterator[str]:
    """Name each reference to a Secret that is not documented, or that a Secret which is here does not hold."""
    here = {each["metadata"]["name"]: set(each["data"]) for each in of_kind(objects, "Secret")}
    for pods in all_pods(objects):
        for each in (each for container in pods.containers for each in container.get("env", [])):
            if asked := each.get("valueFrom", {}).get("secretKeyRef"):
                keys = here.get(asked["name"], set(SECRET) if asked["name"] == "millstream-redis" else set())
                if asked["key"] not in keys:
                    yield f"{pods.owner}: no Secret {asked['name']} with {asked['key']}"


def tasks(objects: Objects) -> Iterator[str]:
    """Say so when the runners have no tasks; those of our own must be there."""
    names = _settings(objects, pods_of(objects, "runner")).tasks
    if not names:
        yield "the runners have no tasks"
    for name in names:
        if name.startswith("millstream.") and importlib.util.find_spec(name) is None:
            yield f"there is no module {name}"


def commands(objects: Objects) -> Iterator[str]:
    """Name each command that the image does not have, and each image and user that are not those of the Dockerfile."""
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert user, "the Dockerfile names a numeric user"
    for pods in millstreams(objects):
        (container,) = pods.containers
        if not _runs(pods.name, container["command"]):
            yield f"{pods.owner}: no such command: {container['command']}"
        if container["image"].startswith("millstream:") and container["image"] != f"millstream:{__version__}":
            yield f"{pods.owner}: {container['image']} is not of this version"
        security = pods.spec["securityContext"]
        if [str(security["runAsUser"]), str(security["runAsGroup"])] != [*user.groups()]:
            yield f"{pods.owner}: runs as another user than its image"


def _runs(name: str, command: list[str]) -> bool:
    if name == "doctor":
        offered = {each.callback.__name__ for each in command_line.registered_commands if each.callback}
        return command[0] == "millstream" and command[1] in offered and command[2:] == ["--json"]
    return command == ["python", "-m", name] and importlib.util.find_spec(f"{name}.__main__") is not None


def probing(objects: Objects) -> Iterator[str]:
    """Name each probe that asks a port or path which its process does not serve, or which Redis could fail."""
    for name in SERVICES:
        pods = pods_of(objects, name)
        found = _settings(objects, pods)
        serves = found.api_port if name == "api" else found.health_port
        if found.api_host not in {"0.0.0.0", "::"}:  # noqa: S104 (asked of, not listened on)
            yield f"{pods.owner}: listens on {found.api_host}, where no probe reaches it"
        asked = dict(probes(pods.containers[0]))
        if asked.keys() != PATHS.keys():
            yield f"{pods.owner}: has only the probes {sorted(asked)}"
        for kind, probe in asked.items():
            yield from (f"{pods.owner}: {kind} {what}" for what in _probed(name, kind, probe, pods, serves))


def _probed(name: str, kind: str, probe: Object, pods: Pods, serves: int) -> Iterator[str]:
    path, port = probe["httpGet"]["path"], pods.ports.get(probe["httpGet"]["port"])
    if port != serves:
        yield f"asks port {port}, the process serves {serves}"
    without_redis = asyncio.run(_asked(name, path))
    if without_redis != (503 if kind == "readiness" else 200):
        yield f"asks {path}, which answers {without_redis} while Redis is away"


async def _asked(name: str, path: str) -> int:
    """Give the status with which a service answers while Redis is away."""
    served: Any = Health([], 30.0, _Away().ping)
    if name == "api":
        served = create_app(Settings())
        served.state.gateway = _Away()
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=served), base_url="http://it") as client:
        return (await client.get(path)).status_code


def stalls(objects: Objects) -> Iterator[str]:
    """Name each liveness probe that kills a process before it would end itself and say why."""
    for name in ("scheduler", "runner"):
        pods = pods_of(objects, name)
        probe = dict(probes(pods.containers[0]))["liveness"]
        patience = (probe["failureThreshold"] - 1) * probe["periodSeconds"] + probe["timeoutSeconds"]
        if patience <= (limit := _settings(objects, pods).loop_stall_seconds):
            yield f"{pods.owner}: killed after {patience} s, and would end itself after {limit:.0f}"


def grace(objects: Objects) -> Iterator[str]:
    """Name each pod that is killed before it has stopped in order."""
    answer = ANSWER_SECONDS + CONNECT_SECONDS
    requests = re.search(r"timeout_graceful_shutdown=(\d+)", inspect.getsource(api.service))
    assert requests, "the api bounds how long it waits for requests"
    longest = {"api": float(requests[1]), "scheduler": 2 * answer}
    longest["runner"] = (
        _settings(objects, pods_of(objects, "runner")).grace_seconds + CANCEL_SECONDS + FLUSH_SECONDS + answer
    )
    for name, seconds in longest.items():
        pods = pods_of(objects, name)
        hook = pods.containers[0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        given = pods.spec["terminationGracePeriodSeconds"]
        if given < hook + seconds + MARGIN_SECONDS:
            yield f"{pods.owner}: has {given} s to stop and needs {hook + seconds + MARGIN_SECONDS:.0f}"
        if name == "api" and not 2 <= hook <= 15:
            yield f"{pods.owner}: its endpoints do not go before it does: it sleeps {hook} s"
    for each in of_kind(objects, "CronJob"):
        job = each["spec"]["jobTemplate"]["spec"]
        rules = job.get("podFailurePolicy", {}).get("rules", [])
        at_once = {
            "action": "FailJob",
            "onExitCodes": {"containerName": "doctor", "operator": "In", "values": [FOUND]},
        }
        if job.get("backoffLimit") != 0 and rules != [at_once]:
            yield f"{title(each)}: a finding would be tried away"
        if not 0 < job.get("ttlSecondsAfterFinished", 0) <= 3600:
            yield f"{title(each)}: a finding would be told for ever"
