"""docs/kubernetes.md says what the manifests say."""

import os
import re
from pathlib import Path

import pytest
import yaml

from manifests.checks import CHECKS, COMPLETE
from manifests.kustomizations import K8S, ROOT, VARIANTS, Objects, built, kustomize
from manifests.objects import COMPONENT, REDIS_UNITS, amount, config, named, pods_of
from manifests.stores import directives
from manifests.test_builds import VERSIONS

PAGE = (ROOT / "docs" / "kubernetes.md").read_text()


def _row(first: str) -> list[str]:
    """Give the cells of the last table row that begins so."""
    rows = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith(f"| {first} |")]
    return rows[-1]


def _bytes(text: str) -> int:
    number, unit = text.split(" ")
    return int(number) * {"MiB": 2**20, "GiB": 2**30}[unit]


@pytest.mark.parametrize(
    ("folder", "variant"), [("dev", "dev"), ("base", "base"), ("production", "production")]
)
def test_the_page_shows_the_memory_of_redis(folder: str, variant: str) -> None:
    objects = built(variant)
    pods, claim = (
        pods_of(objects, "redis"),
        named(objects, "StatefulSet", "redis")["spec"]["volumeClaimTemplates"][0],
    )
    said = directives(config(objects, pods.spec["volumes"][0]["configMap"]["name"]))
    assert [_bytes(cell) for cell in _row(f"`{folder}`")[1:]] == [
        amount(said["maxmemory"], REDIS_UNITS),
        amount(pods.containers[0]["resources"]["limits"]["memory"]),
        amount(claim["spec"]["resources"]["requests"]["storage"]),
    ]


@pytest.mark.parametrize("name", ["api", "scheduler", "runner"])
def test_the_page_shows_requests_and_limits(name: str) -> None:
    row = next(line for line in PAGE.splitlines() if re.match(rf"\| {name} \| \d+m \|", line))
    _, cpu, memory, limit, *_ = (cell.strip() for cell in row.strip("| ").split("|"))
    for variant in ("base", "production"):
        resources = pods_of(built(variant), name).containers[0]["resources"]
        assert resources["requests"] == {"cpu": cpu, "memory": memory.replace(" MiB", "Mi")}
        assert amount(resources["limits"]["memory"]) == _bytes(limit)


@pytest.mark.parametrize("name", ["api", "scheduler", "runner", "redis"])
def test_the_page_shows_how_long_stopping_may_take(name: str) -> None:
    given = pods_of(built("base"), name).spec["terminationGracePeriodSeconds"]
    title = "Redis" if name == "redis" else name
    assert f"| {title} | {given} s |" in PAGE


def test_the_page_names_the_versions_and_every_folder() -> None:
    first, second, last = VERSIONS
    assert f"Kubernetes {first}, {second} and {last}" in " ".join(PAGE.split())
    for variant in VARIANTS.values():
        assert f"`{variant.folder}`" in PAGE
        assert all(f"`components/{each}`" in PAGE for each in variant.components)


def test_every_selector_in_a_command_is_a_label_of_ours() -> None:
    keys = set(re.findall(r"\bmillstream/[a-z-]+(?==true)", PAGE))
    policies = str([each for each in built("base") if each["kind"] == "NetworkPolicy"])
    assert keys == {"millstream/client", "millstream/redis-client"}
    assert all(key in policies for key in (*keys, COMPONENT))


def _example(number: int, folder: Path, before: str = "") -> Objects:
    """Build an overlay that the page shows."""
    shown = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[number]
    text = before + shown.replace("<path to>", os.path.relpath(ROOT, folder))
    (folder / "kustomization.yaml").write_text(text)
    objects = list(yaml.safe_load_all(kustomize(folder)))
    wrong = [said for check in (*CHECKS.values(), *COMPLETE.values()) for said in check(objects)]
    assert wrong == []
    return objects


def test_an_overlay_as_the_page_shows_it_brings_image_and_tasks(tmp_path: Path) -> None:
    objects = _example(0, tmp_path)
    for name in ("api", "scheduler", "runner"):
        assert pods_of(objects, name).containers[0]["image"] == "registry.example.com/invoices:7"
    (settings,) = (
        each["data"] for each in objects if each["metadata"]["name"].startswith("millstream-settings")
    )
    assert settings["MILLSTREAM_TASKS"] == "invoices.tasks,invoices.mail"


def test_long_tasks_get_their_time_as_the_page_shows_it(tmp_path: Path) -> None:
    base = os.path.relpath(K8S / "overlays" / "production", tmp_path)
    objects = _example(1, tmp_path, f"namespace: millstream\nresources: [{base}]\n")
    assert pods_of(objects, "runner").spec["terminationGracePeriodSeconds"] == 625
