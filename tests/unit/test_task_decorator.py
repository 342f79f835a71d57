import functools
import sys
from pathlib import Path

import pytest

import millstream
from millstream import tasks
from millstream.errors import ConfigurationError, InvalidTaskError
from millstream.tasks import Registry, import_tasks, task


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    fresh = Registry()
    monkeypatch.setattr(tasks, "registry", fresh)
    return fresh


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: an empty one, whose modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def test_task_authors_import_the_decorator_from_the_top() -> None:
    assert millstream.task is task


def test_a_bare_decorator_takes_the_functions_name_and_its_docstring(registry: Registry) -> None:
    @task
    def fetch() -> None:
        """Fetch the page."""

    entry = registry["fetch"]
    assert (entry.name, entry.is_async, entry.description) == ("fetch", False, "Fetch the page.")
    assert entry.function is fetch


def test_a_decorator_with_a_name_takes_that(registry: Registry) -> None:
    @task(name="resize-image")
    async def resize() -> None: ...

    assert list(registry) == ["resize-image"]
    assert registry["resize-image"].is_async
    assert registry["resize-image"].function is resize


def test_arguments_with_defaults_are_a_tasks_own_business(registry: Registry) -> None:
    @task
    def fetch(url: str = "x", *args: str, retries: int = 3, **more: str) -> None: ...

    assert "fetch" in registry


def test_a_task_that_asks_for_arguments_is_refused_and_they_are_named() -> None:
    def fetch(url: str, *, proxy: str, retries: int = 3) -> None: ...

    with pytest.raises(InvalidTaskError, match="'fetch' asks for url, proxy"):
        Registry().add(fetch)  # type: ignore[arg-type]


def test_a_name_taken_by_another_function_is_refused() -> None:
    @task(name="fetch")
    def one() -> None: ...

    def two() -> None: ...

    with pytest.raises(InvalidTaskError, match="'fetch' is defined twice"):
        task(name="fetch")(two)


def test_the_same_function_again_is_no_duplicate(registry: Registry) -> None:
    def fetch() -> None: ...

    task(fetch)
    task(fetch)
    task(name="again")(fetch)
    assert sorted(registry) == ["again", "fetch"]


def test_a_wrapped_task_is_still_async(registry: Registry) -> None:
    async def fetch() -> None: ...

    @task
    @functools.wraps(fetch)
    async def wrapped(*args: object) -> None: ...

    assert registry["fetch"].is_async


def test_task_modules_are_found_in_the_current_directory(modules: Path) -> None:
    (modules / "unit_tasks.py").write_text("from millstream import task\n@task\ndef cook(): ...\n")
    assert list(import_tasks(["unit_tasks"])) == ["cook"]


def test_the_current_directory_never_hides_an_installed_module(modules: Path) -> None:
    (modules / "pydantic_settings.py").write_text("raise RuntimeError('not this one')")
    (modules / "unit_more.py").write_text(
        "import pydantic_settings\nfrom millstream import task\n@task\ndef cook(): ...\n"
    )
    for name in [name for name in sys.modules if name.startswith("pydantic_settings")]:
        del sys.modules[name]
    assert "cook" in import_tasks(["unit_more"])


def test_a_module_that_is_not_there_is_named(modules: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"MILLSTREAM_TASKS names the module 'unit_absent'.*ModuleNotFoundError"
    ):
        import_tasks(["unit_absent"])


@pytest.mark.parametrize(
    ("source", "error"),
    [("import unit_absent", "ModuleNotFoundError"), ("def (", "SyntaxError"), ("1 / 0", "ZeroDivisionError")],
)
def test_a_module_that_cannot_be_imported_is_named_with_its_error(
    modules: Path, source: str, error: str
) -> None:
    (modules / "unit_broken.py").write_text(source)
    with pytest.raises(ConfigurationError, match=f"'unit_broken', which cannot be imported: {error}: "):
        import_tasks(["unit_broken"])


def test_a_module_that_exits_is_named_too(modules: Path) -> None:
    (modules / "unit_exits.py").write_text("raise SystemExit('usage: …')")
    with pytest.raises(ConfigurationError, match="'unit_exits', which cannot be imported: SystemExit"):
        import_tasks(["unit_exits"])


def test_a_name_that_is_no_module_is_named(modules: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"'\.relative'"):
        import_tasks([".relative"])


def test_a_runner_without_tasks_says_what_to_set(modules: Path) -> None:
    with pytest.raises(ConfigurationError, match="Set MILLSTREAM_TASKS"):
        import_tasks([])
