"""Redis's clock jumps by an hour. Nobody alive is declared dead for it, nothing runs twice, and the dead are still found.

The scripts take their time from one include; in these processes it adds an offset that the test sets.
"""

import pytest

from crash.house import LEASE, Room, stage
from servers import wait_until

HOUR = 3600
# Python imports this at its start, because the room's directory is on the path of its processes.
SHIFTED = """
from importlib.resources import files
from millstream.scripts import loader as scripts

SHIFT = '''
local function shifted()
  local clock = redis.call('TIME')
  clock[1] = clock[1] + tonumber(redis.call('GET', 'clock-offset') or 0)
  return clock
end
'''
plain = (files("millstream.scripts") / "lua/include/time.lua").read_text()
assert "redis.call('TIME')" in plain
shifting = SHIFT + plain.replace("redis.call('TIME')", "shifted()")
parse = scripts.parse
scripts.parse = lambda name, text, include=None: parse(name, text, {"time": shifting, **(include or {})})
"""


def last_sweep(room: Room) -> int:
    return int(room.redis.hget("sweep", "at") or 0)


def some_leases_pass(room: Room, since: int) -> None:
    """Sweeps have gone on, by the shifted clock, for long enough to declare anybody dead who is."""
    enough = since + 3 * LEASE * 1000
    wait_until(lambda: enough < last_sweep(room) < enough + HOUR * 500, "sweeps to go on after the jump")


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "backward"])
def test_a_clock_that_jumps_an_hour_takes_nobodys_work(room: Room, jump: int) -> None:
    room.fleet.module("sitecustomize", SHIFTED)
    _, scheduler, *_ = room.start("api", "scheduler", "scheduler", "runner", "runner")
    held = room.submit(stage("parallel", "held", "held_on_loop"), stage("sequential", "good"))
    room.executed("held")
    room.executed("held_on_loop")
    wait_until(lambda: last_sweep(room), "a first sweep")
    before = last_sweep(room)
    room.redis.set("clock-offset", jump, ex=HOUR)
    some_leases_pass(room, before + jump * 1000)
    room.open()
    room.submit(stage("parallel", *["good"] * 10, "bad"), stage("sequential", "quick"))
    tasks = [task for task in room.all_ended() if task["status"] != "skipped"]
    assert {(task["attempts"], task["epoch"]) for task in tasks} == {(1, 1)}
    assert len(room.executions()) == len(tasks)
    room.nobody_was_declared_dead()
    (room.fleet.directory / "open").unlink()
    a_killed_runner_is_still_found(room)
    assert held in room.submitted
    assert scheduler.alive()
    room.settled()


def a_killed_runner_is_still_found(room: Room) -> None:
    run_id = room.submit(stage("sequential", "held"))
    pid = room.executed("held", 2)[-1].pid
    (victim,) = (process for process in room.fleet.alive("runner") if process.pid == pid)
    victim.kill()
    room.executed("held", 3)
    room.open()
    assert room.ended(run_id)["held"]["attempts"] == 2
