"""What deploy/k8s/base says of a component's pod, as options of `docker run`: its containers are started by this."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from containers.engine import ROOT

BASE = ROOT / "deploy" / "k8s" / "base"
SIZES = {"Ki": "k", "Mi": "m", "Gi": "g"}
PASSWORD = "of-these-tests"  # noqa: S105 (for a Redis that lives for a minute)


class Pod(NamedTuple):
    """A component as the manifests want it run."""

    user: str
    options: tuple[str, ...]
    command: tuple[str, ...]
    env: dict[str, str]
    grace_seconds: int


def _documents() -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (document["kind"], document["metadata"]["name"]): document
        for file in sorted(BASE.glob("*.yaml"))
        for document in yaml.safe_load_all(file.read_text())
        if document["kind"] != "Kustomization"
    }


DOCUMENTS = _documents()


def settings() -> dict[str, str]:
    """The ConfigMap millstream-settings."""
    lines = (BASE / "settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def pod(component: str) -> Pod:
    """Read a component; fails when something that is held here to be said is not."""
    document = DOCUMENTS["StatefulSet" if component == "redis" else "Deployment", component]
    spec = document["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    env = _environment(container)
    command = [_expanded(word, env) for word in [*container["command"], *container.get("args", [])]]
    security = spec["securityContext"]
    user = f"{security['runAsUser']}:{security['runAsGroup']}"
    options = (
        "--user", user, *_locks(security, container["securityContext"]), *_mounts(spec, container),
        "--memory", _size(container["resources"]["limits"]["memory"]),
    )  # fmt: skip
    return Pod(user, options, tuple(command), env, spec["terminationGracePeriodSeconds"])


def _locks(pod_wide: dict[str, Any], own: dict[str, Any]) -> tuple[str, ...]:
    # "RuntimeDefault" is what the engine does by itself.
    assert pod_wide["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod_wide["runAsNonRoot"] is True
    options = ["--read-only"] if own["readOnlyRootFilesystem"] else []
    options += [] if own["allowPrivilegeEscalation"] else ["--security-opt", "no-new-privileges"]
    for capability in own["capabilities"]["drop"]:
        options += ["--cap-drop", capability]
    return tuple(options)


def _mounts(spec: dict[str, Any], container: dict[str, Any]) -> list[str]:
    """An emptyDir and files from the repository; a claimed volume is the installation's affair."""
    places = {mount["name"]: mount["mountPath"] for mount in container.get("volumeMounts", [])}
    options = []
    for volume in spec.get("volumes", []):
        place = places[volume["name"]]
        if "emptyDir" in volume:
            options += ["--tmpfs", f"{place}:size={_size(volume['emptyDir']['sizeLimit'])},mode=1777"]
        else:
            options += [
                word
                for file in _files_of(volume["configMap"]["name"])
                for word in ("--volume", f"{file}:{place}/{file.name}:ro")
            ]
    return options


def _files_of(config_map: str) -> list[Path]:
    kustomization = yaml.safe_load((BASE / "kustomization.yaml").read_text())
    (found,) = (made for made in kustomization["configMapGenerator"] if made["name"] == config_map)
    return [BASE / name for name in found["files"]]


def _environment(container: dict[str, Any]) -> dict[str, str]:
    env = settings() if container.get("envFrom") else {}
    for entry in container["env"]:
        secret = entry.get("valueFrom", {}).get("secretKeyRef")
        env[entry["name"]] = PASSWORD if secret else _expanded(entry["value"], env)
    return env


def _expanded(text: str, env: dict[str, str]) -> str:
    """Put in what $(NAME) stands for, as a kubelet does."""
    return re.sub(r"\$\((\w+)\)", lambda name: env[name[1]], text)


def _size(quantity: str) -> str:
    return quantity[:-2] + SIZES[quantity[-2:]]
