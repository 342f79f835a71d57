"""Builds kustomizations with kubectl: everything in deploy/k8s, each as a user would put it together."""

import copy
import functools
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
Objects = list[Object]

ROOT = Path(__file__).parents[2]
K8S = ROOT / "deploy" / "k8s"
BUILD_SECONDS = 120.0
COMPONENTS = ("keda", "monitoring", "ingress", "tasks-egress", "redis-external")


@dataclass(frozen=True)
class Variant:
    """A folder to build, components to add to it on top, and whether it is complete: its runners have tasks."""

    folder: str
    components: tuple[str, ...] = ()
    more: str = ""
    complete: bool = True


VARIANTS = {
    "base": Variant("base", complete=False),
    **{f"base with {name}": Variant("base", (name,), complete=False) for name in COMPONENTS},
    "dev": Variant("overlays/dev"),
    "production": Variant("overlays/production"),
    "production-full": Variant("overlays/production-full"),
    "production with all and an external Redis": Variant("overlays/production", COMPONENTS),
    "a user's overlay": Variant(
        "overlays/production",
        ("keda", "monitoring"),
        more="""
images:
  - name: millstream
    newName: registry.example.com/invoices
    newTag: "7"
configMapGenerator:
  - name: millstream-settings
    behavior: merge
    literals: ["MILLSTREAM_TASKS=invoices.tasks,invoices.mail", "MILLSTREAM_RUNNER_SLOTS=200"]
""",
    ),
}


def kubectl() -> str | None:
    """Find kubectl: KUBECTL, or on the PATH."""
    return os.environ.get("KUBECTL") or shutil.which("kubectl")


@functools.cache
def _built(name: str) -> str:
    variant = VARIANTS[name]
    if not variant.components:
        return kustomize(K8S / variant.folder)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made).resolve()
        text = {
            "resources": [os.path.relpath(K8S / variant.folder, folder)],
            "components": [os.path.relpath(K8S / "components" / each, folder) for each in variant.components],
            "namespace": "millstream",
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(text) + variant.more)
        return kustomize(folder)


def kustomize(folder: Path) -> str:
    """Build a folder; a warning is an error."""
    command = [str(kubectl()), "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    assert done.returncode == 0, f"{folder}: {done.stderr}"
    assert not done.stderr, f"{folder} is built with a warning: {done.stderr}"
    return done.stdout


def built(name: str) -> Objects:
    """Build a variant; each caller gets objects of its own."""
    return copy.deepcopy(_parsed(name))


@functools.cache
def _parsed(name: str) -> Objects:
    return list(yaml.safe_load_all(_built(name)))
