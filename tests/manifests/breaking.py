"""Breaks one thing in what was built, so that a check can show that it sees it. Paths are JSON pointers, as in patches."""

from collections.abc import Callable
from typing import Any

from manifests.kustomizations import Object, Objects
from manifests.objects import title

Change = Callable[[Objects], None]
Case = tuple[str, str, Change, str]  # the check, what is broken, how, and what the check says

POD = "/spec/template/spec"
CONTAINER = f"{POD}/containers/0"
COMPONENT = "app.kubernetes.io~1component"


def _thing(objects: Objects, where: str) -> Object:
    """Find an object by its title, or by how it begins: the names of ConfigMaps end with a hash."""
    exact = [each for each in objects if title(each) == where]
    (found,) = exact or [each for each in objects if title(each).startswith(where)]
    return found


def _step(inside: Any, step: str) -> Any:
    return int(step) if isinstance(inside, list) else step.replace("~1", "/")


def _to(objects: Objects, where: str, path: str) -> tuple[Any, Any]:
    """Walk to the last but one step; gives what holds the last, and it."""
    inside: Any = _thing(objects, where)
    *steps, last = path.strip("/").split("/")
    for step in steps:
        inside = inside[_step(inside, step)]
    return inside, _step(inside, last)


def put(where: str, path: str, *, to: Any) -> Change:
    """Set a field."""

    def change(objects: Objects) -> None:
        inside, last = _to(objects, where, path)
        inside[last] = to

    return change


def cut(where: str, path: str) -> Change:
    """Remove a field, which must be there."""

    def change(objects: Objects) -> None:
        inside, last = _to(objects, where, path)
        del inside[last]

    return change


def drop(where: str) -> Change:
    """Remove an object."""
    return lambda objects: objects.remove(_thing(objects, where))


def setting(name: str, value: str) -> Change:
    """Set a variable of all services."""
    return put("ConfigMap/millstream-settings", f"/data/MILLSTREAM_{name}", to=value)


def redis_conf(old: str, new: str) -> Change:
    """Replace a line of Redis's configuration."""

    def change(objects: Objects) -> None:
        data = _thing(objects, "ConfigMap/redis-config")["data"]
        (name,) = (name for name, text in data.items() if old in text)
        data[name] = data[name].replace(old, new)

    return change
