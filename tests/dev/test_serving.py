"""What `make run` gives a newcomer."""

import json
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dev.house import Dev
from millstream.dev.redis_server import wheel_server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are looked up in /proc")
Start = Callable[..., Dev]


def test_the_line_that_it_shows_can_be_pasted_and_the_demo_succeeds(start: Start) -> None:
    dev = start(MILLSTREAM_TASKS="").ready()
    words = shlex.split(dev.line("curl"))
    assert words[:4] == ["curl", "-X", "POST", f"http://localhost:{dev.port}/workflow"]
    body = json.loads(words[words.index("-d") + 1])
    assert body == {
        "workflow": [
            {"type": "parallel", "tasks": ["task_a", "task_b"]},
            {"type": "sequential", "tasks": ["task_c"]},
        ]
    }
    assert dev.line("Tasks").startswith("Tasks   task_a, task_b, task_c, task_d ")
    dev.succeeds(dev.submit(body))


def test_it_says_where_everything_is(start: Start) -> None:
    dev = start().ready()
    assert dev.line("API") == f"API     http://localhost:{dev.port}"
    assert dev.line("Docs").endswith("/docs")
    assert "redis://127.0.0.1:" in dev.line("Redis")
    assert "child" in dev.line("Redis") or "embedded" in dev.line("Redis")
    assert "survives a restart" in dev.line("Data")
    assert dev.ask("/health/ready") == {"status": "ready"}
    assert set(dev.children()) == {"redis", "api", "scheduler", "runner"}


def test_own_tasks_are_in_the_line_to_paste_even_beside_a_folder_named_api(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "__init__.py").write_text("raise SystemExit('not ours')")
    dev = start().ready()
    assert '["bake", "taste"]' in dev.line("curl")
    dev.succeeds(dev.submit({"workflow": [{"type": "parallel", "tasks": ["bake", "taste"]}]}))


def test_runs_survive_a_restart(start: Start) -> None:
    first = start().ready()
    run_id = first.submit({"workflow": [{"type": "sequential", "tasks": ["bake", "taste"]}]})
    first.succeeds(run_id)
    first.signal(signal.SIGTERM)
    assert first.exit_code() == 0
    assert start().ready().status(run_id) == {"bake": "success", "taste": "success"}


@pytest.mark.skipif(wheel_server() is None, reason="there is no embedded Redis for this platform")
def test_without_a_redis_on_the_path_the_embedded_one_serves(start: Start) -> None:
    dev = start(PATH=str(Path(sys.executable).parent)).ready()
    assert "Redis 6.2" in dev.line("Redis")
    assert "embedded" in dev.line("Redis")
    dev.succeeds(dev.submit({"workflow": [{"type": "parallel", "tasks": ["bake"]}]}))
    assert dev.stop() == 0


def test_a_redis_that_was_given_is_used_and_left_alone(
    start: Start, tmp_path: Path, redis_server: str
) -> None:
    dev = start(MILLSTREAM_REDIS_URL=f"{redis_server.rstrip('/').removesuffix('/0')}/9").ready()
    assert "given" in dev.line("Redis")
    assert set(dev.children()) == {"api", "scheduler", "runner"}
    assert dev.stop() == 0
    assert not (tmp_path / ".millstream").exists()
