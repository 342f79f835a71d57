"""How it ends: in order when asked, all of it when a part breaks, and with nothing left behind."""

import os
import signal
import sys
from collections.abc import Callable

import pytest

from dev.house import Dev, alive, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are looked up in /proc")
Start = Callable[..., Dev]


def test_ctrl_c_stops_all_in_order(start: Start) -> None:
    dev = start().ready()
    children = dev.children()
    assert dev.stop() == 0
    assert not [name for name, pid in children.items() if alive(pid)]
    steps = [line for line in dev.output.splitlines() if line.startswith(("Stop", "Kill"))]
    assert steps == ["Stopping api", "Stopping runner", "Stopping scheduler", "Stopping redis", "Stopped"]


def test_a_signal_before_it_is_ready_leaves_nothing(start: Start) -> None:
    dev = start()
    until(lambda: "scheduler" in dev.children())
    children = dev.children()
    assert dev.stop() == 0
    assert not [name for name, pid in children.items() if alive(pid)]


def test_a_second_signal_stops_at_once(start: Start) -> None:
    dev = start().ready()
    run_id = dev.submit({"workflow": [{"type": "parallel", "tasks": ["wait_long"]}]})
    until(lambda: dev.status(run_id) == {"wait_long": "running"})
    dev.signal()
    dev.sees("Stopping runner")
    dev.signal()
    dev.sees("Stopped")
    assert "Killing runner" in dev.output
    assert dev.exit_code() == 0


@pytest.mark.parametrize("name", ["runner", "redis"])
def test_a_child_that_ends_by_itself_ends_all(start: Start, name: str) -> None:
    dev = start().ready()
    children = dev.children()
    os.kill(children[name], signal.SIGKILL)
    assert dev.exit_code() == 1
    assert f"{name} (pid {children[name]}) ended by itself with signal SIGKILL" in dev.output
    assert not [child for child, pid in children.items() if alive(pid)]


def test_tasks_that_cannot_be_imported_are_named(start: Start) -> None:
    dev = start(MILLSTREAM_TASKS="nowhere")
    assert dev.exit_code() == 1
    assert "'nowhere', which cannot be imported" in dev.output
    assert "ended by itself with exit status 2" in dev.output


def test_after_kill_9_nothing_stays_and_the_next_one_serves_the_earlier_run(start: Start) -> None:
    first = start().ready()
    run_id = first.submit({"workflow": [{"type": "parallel", "tasks": ["bake"]}]})
    first.succeeds(run_id)
    children = first.children()
    first.signal(signal.SIGKILL)
    assert start().ready().status(run_id) == {"bake": "success"}
    until(lambda: not any(alive(pid) for pid in children.values()))
