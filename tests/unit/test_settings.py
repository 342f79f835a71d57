import re

import pytest
from pydantic import ValidationError

from millstream.errors import ConfigurationError
from millstream.settings import SCHEMES, load_settings

# The design, section 8, fixes the names; those of features to come are not here yet.
VARIABLES = {
    "REDIS_URL": ("redis_url", "rediss://elsewhere:6380/1", "rediss://elsewhere:6380/1"),
    "PARTITIONS": ("partitions", "16", 16),
    "API_HOST": ("api_host", "::1", "::1"),
    "API_PORT": ("api_port", "9000", 9000),
    "HEALTH_PORT": ("health_port", "9001", 9001),
    "TASKS": ("tasks", "my_tasks", ("my_tasks",)),
    "RUNNER_SLOTS": ("runner_slots", "7", 7),
    "LEASE_SECONDS": ("lease_seconds", "2.5", 2.5),
    "LOOP_STALL_SECONDS": ("loop_stall_seconds", "60", 60.0),
    "GRACE_SECONDS": ("grace_seconds", "0", 0.0),
    "MAX_LOST_EXECUTIONS": ("max_lost_executions", "1", 1),
    "UNKNOWN_TASK_SECONDS": ("unknown_task_seconds", "0.5", 0.5),
    "MAX_TASKS": ("max_tasks", "500", 500),
    "MAX_BACKLOG": ("max_backlog", "1", 1),
    "RETENTION_SECONDS": ("retention_seconds", "60", 60.0),
    "LOG_FORMAT": ("log_format", "json", "json"),
}
WRONG = [
    ("REDIS_URL", "localhost:6379"),
    ("PARTITIONS", "0"),
    ("PARTITIONS", "three"),
    ("PARTITIONS", ""),
    ("API_PORT", "65536"),
    ("HEALTH_PORT", "-1"),
    ("RUNNER_SLOTS", "1.5"),
    ("LEASE_SECONDS", "0"),
    ("LEASE_SECONDS", "nan"),
    ("LEASE_SECONDS", "10s"),
    ("GRACE_SECONDS", "-1"),
    ("MAX_LOST_EXECUTIONS", "0"),
    ("UNKNOWN_TASK_SECONDS", "-1"),
    ("MAX_TASKS", "0"),
    ("MAX_BACKLOG", "many"),
    ("RETENTION_SECONDS", "0"),
    ("LOG_FORMAT", "xml"),
]
ENDLESS = [
    "LEASE_SECONDS",
    "LOOP_STALL_SECONDS",
    "GRACE_SECONDS",
    "RETENTION_SECONDS",
    "UNKNOWN_TASK_SECONDS",
]


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(f"MILLSTREAM_{name}", raising=False)


def test_everything_has_a_default() -> None:
    settings = load_settings()
    assert settings.redis_url == "redis://127.0.0.1:6379/0"
    assert (settings.partitions, settings.lease_seconds, settings.max_tasks) == (1, 10.0, 10_000)
    assert (settings.api_host, settings.api_port, settings.tasks) == ("127.0.0.1", 8000, ())


@pytest.mark.parametrize("name", VARIABLES)
def test_every_setting_is_an_environment_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    field, text, value = VARIABLES[name]
    monkeypatch.setenv(f"MILLSTREAM_{name}", text)
    assert getattr(load_settings(), field) == value


def test_no_setting_is_without_an_example_here() -> None:
    assert {field for field, _, _ in VARIABLES.values()} == set(type(load_settings()).model_fields)


@pytest.mark.parametrize(
    ("text", "modules"),
    [("", ()), ("a", ("a",)), ("a,b.c", ("a", "b.c")), (" a , b ,", ("a", "b")), (",", ())],
)
def test_task_modules_are_a_comma_list(
    text: str, modules: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLSTREAM_TASKS", text)
    assert load_settings().tasks == modules


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_way_to_redis_has_its_scheme(scheme: str) -> None:
    assert load_settings(redis_url=f"{scheme}h1,h2/0", partitions=2).redis_url.startswith(scheme)


@pytest.mark.parametrize(("name", "text"), WRONG)
def test_a_value_that_cannot_be_used_names_its_variable(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"MILLSTREAM_{name}", text)
    with pytest.raises(ConfigurationError, match=rf"^The settings are not valid\.\n  MILLSTREAM_{name}: \w"):
        load_settings()


@pytest.mark.parametrize("name", ENDLESS)
def test_a_duration_has_an_end(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"MILLSTREAM_{name}", "inf")
    with pytest.raises(ConfigurationError, match=f"MILLSTREAM_{name}: "):
        load_settings()


def test_every_wrong_variable_has_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLSTREAM_API_PORT", "x")
    monkeypatch.setenv("MILLSTREAM_PARTITIONS", "x")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert re.findall(r"^  MILLSTREAM_(\w+):", str(caught.value), re.MULTILINE) == ["PARTITIONS", "API_PORT"]


def test_a_password_in_a_wrong_url_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLSTREAM_REDIS_URL", "http://user:hunter2@host")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_runner_needs_a_slot_for_every_partition() -> None:
    with pytest.raises(ConfigurationError, match=r"RUNNER_SLOTS \(3\) must be at least PARTITIONS \(4\)"):
        load_settings(runner_slots=3, partitions=4)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().partitions = 3  # type: ignore[misc]


def test_durations_are_also_given_in_milliseconds() -> None:
    settings = load_settings(lease_seconds=10, retention_seconds=0.5)
    assert (settings.block_ms, settings.retention_ms) == (3333, 500)
