"""Redis itself is killed under load and comes back on what it had on disk."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from crash.house import DURABLE, Room, expected, stage, tasks_of
from proxy import parse
from servers import Server

EVERYSEC = ("--appendonly", "yes", "--appendfsync", "everysec")
STAGES = [stage("parallel", "good", "bad", *["quick"] * 6), stage("sequential", "good")]
CHAIN = [stage("sequential", "quick", "good", "quick", "good")]
MOST_RUNS = 400


@contextlib.contextmanager
def submitting(room: Room) -> Iterator[None]:
    """Submit without pause from two clients while the block runs; what was answered counts as accepted."""
    stop = threading.Event()

    def client(stages: list[dict[str, object]]) -> None:
        while not stop.is_set() and len(room.submitted) < MOST_RUNS:
            status, answer = room.fleet.ask("/workflow", {"workflow": stages})
            if status == 200:
                room.submitted[answer["run_id"]] = stages
            stop.wait(0.005 if status == 200 else 0.1)  # bounds the load

    clients = [threading.Thread(target=client, args=(stages,)) for stages in (STAGES, CHAIN)]
    for thread in clients:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in clients:
            thread.join()


def log_of(server: Server) -> Path:
    """The append-only file that is being written: one file before Redis 7, a folder of them since."""
    found = [*server.directory.rglob("*.incr.aof")] or [*server.directory.glob("*.aof")]
    return max(found, key=lambda path: path.stat().st_mtime)


def tear_off(log: Path, written: int) -> None:
    """Take away the last third of what was written since, as a power cut may; a kill alone loses nothing.

    What is left ends between two transactions. Of one that is cut in its middle Redis leaves the whole commands in
    the log, and executes them with the next transaction when it starts once more (mended in Valkey, pull request 4342).
    """
    data = log.read_bytes()
    wanted = len(data) - (len(data) - written) // 3
    at, whole, inside = 0, 0, False
    while at < wanted and (command := parse(data, at)) is not None:
        name = command.found[0].upper()
        inside = name == b"MULTI" or (inside and name != b"EXEC")
        at = command.end
        whole = whole if inside or at > wanted else at
    with log.open("r+b") as file:
        file.truncate(whole)


def every_known_run_ended_well(room: Room) -> int:
    """Each run in Redis, accepted or not answered, ends as the oracle says; gives how many tasks they reached."""
    reached = 0
    for run_id in room.redis.zrange("runs", 0, -1):
        view = room.fleet.ended(run_id)
        statuses = room.fleet.status(run_id)
        assert (statuses, view["state"]) == expected(STAGES if "bad" in statuses else CHAIN)
        reached += sum(task["status"] != "skipped" for task in tasks_of(view))
    return reached


def test_what_was_accepted_survives_a_killed_redis_that_writes_always(
    make_room: Callable[..., Room], say: Callable[[str], None]
) -> None:
    room = make_room(*DURABLE)
    room.start("api", "scheduler", "scheduler", "runner", "runner")
    with submitting(room):
        for _ in range(3):
            room.executed(None, len(room.executions()) + 60)
            room.server.restart()
        room.executed(None, len(room.executions()) + 60)
    tasks = [task for task in room.all_ended() if task["status"] != "skipped"]
    assert {(task["attempts"], task["epoch"]) for task in tasks} == {(1, 1)}
    assert every_known_run_ended_well(room) == len(room.executions())
    room.nobody_was_declared_dead()
    unanswered = room.redis.zcard("runs") - len(room.submitted)
    say(f"Redis killed, appendfsync always: accepted {len(room.submitted)}, lost 0, unanswered {unanswered}")
    room.settled()


def test_a_redis_that_lost_the_tail_of_its_log_is_consistent_afterwards(
    make_room: Callable[..., Room], say: Callable[[str], None]
) -> None:
    room = make_room(*EVERYSEC)
    room.start("api", "scheduler", "scheduler", "runner", "runner")
    with submitting(room):
        for _ in range(3):
            written = log_of(room.server).stat().st_size
            room.executed(None, len(room.executions()) + 100)
            room.server.kill()
            tear_off(log_of(room.server), written)
            room.server.start()
        room.executed(None, len(room.executions()) + 60)
    known = set(room.redis.zrange("runs", 0, -1))
    lost = set(room.submitted) - known
    assert {room.fleet.ask(f"/workflow/{run_id}/status")[0] for run_id in lost} <= {404}
    every_known_run_ended_well(room)
    say(
        f"Redis killed, appendfsync everysec, a third of the last writes torn off, three times: "
        f"accepted {len(room.submitted)}, lost {len(lost)}"
    )
    assert lost
    room.settled()
