"""Two versions on one Redis, the second with a newer format: swapped under load, swapped back, and nothing is lost."""

import os
import random
import subprocess
import sys
from functools import partial
from pathlib import Path

from crash.house import LEASE, Room, expected, stage
from fleet import Process, request
from millstream.protocol.formats import NEWEST
from millstream.protocol.record import STATE, VERSION, epoch_of
from servers import wait_until
from storm.clients import Submitter
from trees import random_workflow

NAMES = ("good", "quick", "bad")
OLD, NEW = str(NEWEST), str(NEWEST + 1)
KINDS = ("api", "scheduler", "scheduler", "runner", "runner")
RUNS, RATE = 2000, 40.0  # as many as there is time for are submitted
OPEN = (
    60  # so many runs at once: on a busy machine they would pile up, and new ones wait behind all before them
)


def formats(room: Room) -> dict[str, str]:
    """Every run that is kept, with its format."""
    return {run_id: version for run_id, (version, _) in kept(room).items()}


def kept(room: Room) -> dict[str, tuple[str, str]]:
    """Every run that is kept, with its format and state."""
    run_ids = room.redis.zrange("runs", 0, -1)
    pipeline = room.redis.pipeline(transaction=False)
    for run_id in run_ids:
        pipeline.hmget(room.keys.of(run_id).record, VERSION, STATE)
    return dict(zip(run_ids, map(tuple, pipeline.execute()), strict=True))


def state_of(room: Room, run_id: str) -> str:
    return str(room.redis.hget(room.keys.of(run_id).record, STATE))


def ended(room: Room, run_id: str) -> bool:
    return state_of(room, run_id) != "running"


def some_ended(room: Room, version: str, after: set[str], count: int = 20) -> set[str]:
    """Wait until so many runs of a format, accepted after others, have ended; gives all that were accepted."""

    def look() -> bool:
        new = [about for run, about in kept(room).items() if run not in after]
        return sum(about[0] == version and about[1] != "running" for about in new) >= count

    wait_until(look, f"{count} more runs of format {version} to end", 60)
    return set(formats(room))


def newest_api(room: Room) -> int:
    """The port of the api that was started last, as soon as another run may be opened."""
    running = room.keys.runs_in("running")  # type: ignore[arg-type]
    wait_until(lambda: room.redis.zcard(running) < OPEN, "runs to end before there are more", 60)
    return room.fleet.alive("api")[-1].port


def leave(processes: list[Process]) -> None:
    """Stop the first of each kind in order, and kill the rest."""
    kinds: set[str] = set()
    for process in processes:
        if process.kind in kinds:
            process.kill()
        else:
            kinds.add(process.kind)
            process.terminate()
    for process in processes:
        assert process.exit_code() in {0, -9}


def read(room: Room) -> set[str]:
    return {str(int(newest)) for _, newest in room.redis.zrange("formats", 0, -1, withscores=True)}


def have_worked(room: Room, processes: list[Process]) -> None:
    """Wait until each runner has executed something."""
    for process in processes:
        if process.kind == "runner":
            wait_until(partial(has_worked, room, process), f"{process!r} to execute a task", 30)


def has_worked(room: Room, process: Process) -> bool:
    return any(execution.pid == process.pid for execution in room.executions())


def healthy(room: Room) -> None:
    status, said = doctor(room)
    assert status == 0, said


def doctor(room: Room) -> tuple[int, str]:
    """Ask `millstream doctor`, as an operator would."""
    env = os.environ | {"MILLSTREAM_REDIS_URL": room.fleet.redis_url, "MILLSTREAM_LEASE_SECONDS": str(LEASE)}
    command = [str(Path(sys.executable).with_name("millstream")), "doctor"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_versions_swap_under_load_and_back_and_nothing_is_lost(room: Room, newer: Path) -> None:
    rng = random.Random(7)
    workflows = [random_workflow(rng, NAMES, 8) for _ in range(RUNS)]
    old = room.start(*KINDS)
    clients = Submitter(lambda: newest_api(room), workflows, RATE)
    clients.start()
    try:
        alone = some_ended(room, OLD, set())
        new = room.start(*KINDS, source=newer)
        have_worked(room, new)
        beside = some_ended(room, OLD, alone)
        assert set(formats(room).values()) == {OLD}, "an old process lives, so nothing newer is written"

        leave(old)
        wait_until(lambda: read(room) == {NEW}, "the old ones to be forgotten")
        alone = some_ended(room, NEW, beside)

        back = room.start(*KINDS)
        at = set(formats(room))
        have_worked(room, back)
        some_ended(room, OLD, at)
        assert {v for run, v in formats(room).items() if run not in at} == {OLD}
        wait_until(
            lambda: all(ended(room, run) for run in alone), "the runs of the new format to end before it goes"
        )
        leave(new)
        some_ended(room, OLD, set(formats(room)))
    finally:
        clients.stop()
    assert not clients.seen.wrong
    for run_id, accepted in clients.seen.accepted.items():
        statuses, state = expected(accepted.stages)
        wait_until(partial(ended, room, run_id), f"run {run_id} to end", 60)
        assert (room.fleet.status(run_id), state_of(room, run_id)) == (statuses, state)
    assert set(formats(room).values()) == {OLD, NEW}
    room.settled()
    healthy(room)


def test_what_only_the_newer_read_waits_for_them(room: Room, newer: Path) -> None:
    new = room.start("api", "scheduler", "runner", source=newer)
    run_id = room.submit(stage("parallel", "good", "held"), stage("sequential", "good", "quick"))
    room.executed("held")
    wait_until(lambda: room.fleet.status(run_id)["good"] == "success", "all to be done but what is held")
    new[2].kill()
    unread = room.submit(stage("sequential", "quick"))
    wait_until(lambda: room.redis.xlen("tasks") == 2, "its task to wait for a runner")
    for process in new:
        process.kill()
    (api, *_) = room.start("api", "scheduler", "runner")
    wait_until(lambda: read(room) == {OLD}, "the newer ones to be forgotten")
    seen: set[str] = set()
    wait_until(partial(handed_back, room, seen), "the old ones to hand the message back again and again", 60)
    assert formats(room) == {run_id: NEW, unread: NEW}
    assert room.fleet.status(run_id) == {
        "good": "success",
        "held": "running",
        "good-2": "pending",
        "quick": "pending",
    }
    status, answer = request(api.port, f"/workflow/{run_id}")
    assert (status, "newer version" in answer["detail"]) == (503, True)

    assert doctor(room)[0] == 1, "messages of the dead wait for a newer version"
    assert "stuck runs: 0" in doctor(room)[1]
    other = room.submit(stage("sequential", "good", "bad"))
    assert formats(room)[other] == OLD
    room.ended(other)
    room.start("scheduler", "runner", "api", source=newer)
    room.open("open")
    for newer_run in (run_id, unread):
        wait_until(partial(ended, room, newer_run), "the newer runs to end", 60)
        assert set(room.fleet.status(newer_run).values()) == {"success"}
    assert room.redis.hget(room.keys.of(run_id).record, epoch_of(1)) == "2", (
        "the lost execution was taken over by its version"
    )
    room.settled()


def handed_back(room: Room, seen: set[str]) -> bool:
    """Whether three looks have found the message under another entry each: each handing back writes it anew."""
    seen.add(str(room.redis.xinfo_stream("tasks")["last-generated-id"]))
    return len(seen) >= 3
