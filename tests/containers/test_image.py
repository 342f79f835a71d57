"""What is in the image, and what must not be."""

import contextlib
import importlib.metadata
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO

import pytest

from containers.build import NOWHERE, pip_settings
from containers.engine import LABEL, ROOT, docker, inspect, succeed

TOOLCHAIN = re.compile(r"([\w.]+-)*(gcc|g\+\+|cc|c\+\+|cpp|clang|tcc|rustc|go|as|ld|make)(-[\d.]+)?")
PLACES = {"bin", "sbin", "libexec"}
LOADED = """
import importlib, os, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
files = [getattr(module, "__cached__", None) for module in list(sys.modules.values())]
print([file for file in files if file and not os.path.exists(file)])
"""


@contextlib.contextmanager
def output_of(*command: str) -> Iterator[IO[bytes]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.stdout
    assert process.returncode == 0


@pytest.fixture(scope="module")
def files(image: str) -> set[str]:
    """The path of everything in the image."""
    container = docker("create", "--label", LABEL, image)
    with (
        output_of("docker", "export", container) as stream,
        tarfile.open(fileobj=stream, mode="r|") as archive,
    ):
        return {f"/{member.name}" for member in archive}


def names(files: set[str]) -> set[str]:
    return {PurePosixPath(file).name for file in files}


def test_it_is_run_by_a_numeric_user_who_is_not_root(image: str) -> None:
    assert inspect(image)["Config"]["User"] == "10001:10001"
    assert docker("run", "--rm", "--label", LABEL, image, "id", "-u") == "10001"


def test_its_labels_say_what_it_is(image: str) -> None:
    project = importlib.metadata.metadata("millstream")
    labels = inspect(image)["Config"]["Labels"]
    told = {
        name.rpartition(".")[2]: value
        for name, value in labels.items()
        if name.startswith("org.opencontainers.")
    }
    commit = told.pop("revision").removesuffix("-dirty")
    succeed(
        "git", "merge-base", "--is-ancestor", commit, "HEAD", cwd=ROOT
    )  # somebody may have committed since
    assert told == {
        "title": "Millstream",
        "description": project["Summary"],
        "version": project["Version"],
        "licenses": project["License-Expression"],
    }


def test_it_stops_on_sigterm_and_has_no_shell_before_its_command(image: str) -> None:
    told = inspect(image)["Config"]
    assert (told["StopSignal"], told["Entrypoint"], told["Cmd"][0]) == ("SIGTERM", None, "millstream")


def test_it_holds_no_compiler(files: set[str]) -> None:
    programs = {
        name for file in files if PLACES & set((path := PurePosixPath(file)).parts) for name in [path.name]
    }
    assert "python3" in programs
    assert not {name for name in programs if TOOLCHAIN.fullmatch(name)}


def test_pip_is_not_in_its_environment(files: set[str]) -> None:
    assert not {
        file for file in files if re.match(r"/opt/millstream/(bin/pip|lib/[^/]+/site-packages/pip)", file)
    }


def test_it_holds_the_packages_and_nothing_else_of_the_repository(files: set[str]) -> None:
    tests = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert {"api", "millstream", "runner", "scheduler"} <= names(files)
    assert not names(files) & {*tests, ".git", "Dockerfile", "Makefile", "pyproject.toml", "requirements.txt"}
    assert not {file for file in files if file.startswith(("/build", "/app/"))} - {"/app/"}


def test_all_python_files_of_the_environment_are_compiled(files: set[str]) -> None:
    sources = [PurePosixPath(file) for file in files if re.match(r"/opt/millstream/lib/.*\.py$", file)]
    compiled = {
        (path.parent.parent, path.name.split(".")[0])
        for path in map(PurePosixPath, files)
        if path.suffix == ".pyc"
    }
    assert len(sources) > 500
    assert not [path for path in sources if (path.parent, path.stem) not in compiled]


def test_whatever_a_service_imports_is_compiled(image: str) -> None:
    services = ["api.service", "runner.service", "scheduler.service", "millstream.doctor.examination"]
    command = ["python", "-c", LOADED, *services]
    assert docker("run", "--rm", "--label", LABEL, "--read-only", image, *command) == "[]"


def test_nothing_in_the_image_or_its_history_tells_where_packages_came_from(image: str) -> None:
    told = pip_settings()
    secrets = {NOWHERE, *(told[name] for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL") if name in told)}
    searched = [secret.encode() for secret in secrets]
    overlap = max(map(len, searched))
    found, size, before = set(), 0, b""
    # The engine's whole archive: its configuration with the history, and every layer.
    with output_of("docker", "save", image) as stream:
        while block := stream.read(1 << 20):
            found |= {secret for secret in searched if secret in before + block}
            size, before = size + len(block), block[-overlap:]
    assert size > 50 << 20
    assert not found
    assert NOWHERE not in json.dumps(inspect(image))
