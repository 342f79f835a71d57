"""An engine is copied while it works, and from the copy another one goes on: every run is accounted for."""

import contextlib
import itertools
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from backup.house import EVERYSEC, REWRITING_LN, Tools, versions
from crash.house import LEASE, Room, stage
from crash.test_redis_killed import CHAIN, STAGES
from doctor.test_command import doctor
from servers import wait_until

HELD = [stage("parallel", "held", "bad"), stage("sequential", "quick")]
EXECUTIONS = 100  # between two copies, so that they differ
PAUSE = 0.01  # seconds between two submissions: bounds the load
SLOW = 2_000  # microseconds that a rewrite rests after each key


class Copy(NamedTuple):
    """An archive, and the runs that had been answered when it was begun."""

    archive: bytes
    accepted: set[str]


class Engine:
    """A room whose Redis is copied, and the rooms that are made of the copies."""

    def __init__(self, directory: Path, tools: Tools) -> None:
        self.directory, self.tools = directory, tools
        self.rooms: list[Room] = []
        self.before = self.room("before")
        self.before.start("api", "scheduler", "runner", "runner")

    def room(self, name: str) -> Room:
        self.rooms.append(Room(self.directory / name, EVERYSEC, {}))
        return self.rooms[-1]

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Submit without end while the block runs; afterwards nobody of this engine lives."""
        stop = threading.Event()

        def client() -> None:
            for stages in itertools.cycle((STAGES, CHAIN)):
                self.before.submit(*stages)
                if stop.wait(PAUSE):
                    break

        thread = threading.Thread(target=client)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self.before.fleet.close()

    def works_on(self) -> None:
        """Wait until there is more than before, with a task that is still executed when the copy is made."""
        self.before.submit(*HELD)
        self.before.executed(None, len(self.before.executions()) + EXECUTIONS)

    def copy(self, take: Callable[[], bytes]) -> Copy:
        self.works_on()
        accepted = set(self.before.submitted)
        return Copy(take(), accepted)

    def backup(self) -> bytes:
        return self.tools.backup(self.before.server)

    def backup_among_rewrites(self) -> bytes:
        """A backup that waits for a slow rewrite, and meets another one while it makes its links."""
        client = self.before.redis
        client.config_set("rdb-key-save-delay", SLOW)
        client.bgrewriteaof()
        self.tools.put("ln", REWRITING_LN)
        with self.tools.start_backup(self.before.server, PORT=str(self.before.server.port)) as running:
            wait_until(lambda: not client.info("persistence")["aof_rewrite_in_progress"], "the rewrite", 60)
            client.config_set("rdb-key-save-delay", 0)
            archive, said = running.communicate(timeout=60)
        assert running.returncode == 0, said
        return archive

    def snapshot(self) -> bytes:
        """What `redis-cli --rdb` gives."""
        file = self.directory / "dump.rdb"
        self.tools.cli(self.before.server, "--rdb", str(file))
        return file.read_bytes()

    def restored(self, copy: Copy, put: Callable[[bytes, Path], object]) -> Room:
        """Start a Redis on what was put into its empty directory."""
        name = f"after-{len(self.rooms)}"
        put(copy.archive, self.directory / name / "redis")
        room = self.room(name)
        known = room.redis.zrange("runs", 0, -1)
        assert copy.accepted <= set(known)
        room.submitted = {run_id: self.before.submitted[run_id] for run_id in known}
        return room

    def close(self) -> None:
        for room in self.rooms:
            room.close()


@pytest.fixture
def engine(tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    made = Engine(tmp_path, tools)
    yield made
    made.close()


def every_run_is_accounted_for(engine: Engine, room: Room) -> None:
    """Start services: what is there ends as it should, and what is not there is unknown."""
    unfinished = room.redis.zcard("runs:running")
    assert unfinished
    room.start("api", "scheduler", "runner", "runner")
    later = set(engine.before.submitted) - set(room.submitted)
    assert later
    assert {room.fleet.ask(f"/workflow/{run_id}/status")[0] for run_id in later} == {404}
    room.open()
    room.all_ended()
    room.settled()
    code, said, complaints = doctor(room.server.url, lease_seconds=LEASE)
    assert code == 0, said + complaints


def test_from_a_copy_of_its_files_an_engine_goes_on(
    engine: Engine, tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine.working():
        takes = (engine.backup, engine.backup_among_rewrites, engine.backup)
        first, among_rewrites, last = [engine.copy(take) for take in takes]
        engine.works_on()
    engine.restored(first, tools.restore)
    every_run_is_accounted_for(engine, engine.restored(among_rewrites, tools.restore))
    newest = [*versions()][-1]
    monkeypatch.setenv("MILLSTREAM_TEST_REDIS_SERVER", str(versions()[newest]))
    room = engine.restored(last, Tools(newest, tmp_path / "newest").restore)
    assert room.redis.info()["redis_version"] == newest
    every_run_is_accounted_for(engine, room)


def test_from_a_snapshot_an_engine_goes_on(engine: Engine, tools: Tools) -> None:
    with engine.working():
        copy = engine.copy(engine.snapshot)
        engine.works_on()

    def put(snapshot: bytes, directory: Path) -> None:
        """As docs/backup.md says: a snapshot is a good beginning of an append-only file, and may be all of it."""
        directory.mkdir(parents=True)
        (directory / "appendonly.aof").write_bytes(snapshot)
        subprocess.run([tools.directory / "redis-check-rdb", directory / "appendonly.aof"], check=True)

    every_run_is_accounted_for(engine, engine.restored(copy, put))
