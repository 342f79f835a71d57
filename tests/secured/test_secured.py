"""A Redis that others look after: TLS, and a user with no more rights than the README asks for."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from crash.house import LEASE, Room, stage
from secured.tls import TlsFront

README = (Path(__file__).parents[2] / "README.md").read_text()
PASSWORD = "p@ss/w:rd #1"  # noqa: S105 (of a throwaway Redis)


def rights() -> list[str]:
    """Read the rule that the README gives."""
    (rule,) = re.findall(r"^ACL SETUSER millstream (.*)$", README, re.MULTILINE)
    words = [f">{PASSWORD}" if word.startswith(">") else word for word in rule.split()]
    assert f">{PASSWORD}" in words
    return words


def url(port: int, scheme: str = "redis", host: str = "127.0.0.1", query: str = "") -> str:
    return f"{scheme}://millstream:{quote(PASSWORD, safe='')}@{host}:{port}/0{query}"


@pytest.fixture(params=["any", "6.2"])
def room(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    """A Redis with such a user, and a fleet that uses it; also the oldest version that is supported."""
    if request.param == "6.2":
        monkeypatch.setenv(
            "MILLSTREAM_TEST_REDIS_SERVER", str(Path(sys.executable).with_name("redis-server"))
        )
    opened = Room(tmp_path / "room", (), {})
    opened.redis.execute_command("ACL", "SETUSER", "millstream", *rights())
    told(opened, url(opened.server.port))
    yield opened
    opened.close()


def told(room: Room, redis_url: str) -> None:
    room.fleet.redis_url = redis_url
    room.fleet._settings["redis_url"] = redis_url  # noqa: SLF001


def denied(room: Room) -> list[str]:
    """Every command that Redis has denied anybody."""
    entries = [
        dict(zip(row[::2], row[1::2], strict=True)) for row in room.redis.execute_command("ACL", "LOG")
    ]
    return [
        f"{entry['username']}: {entry['object']} ({entry['reason']}, {entry['context']})" for entry in entries
    ]


def works(room: Room) -> None:
    """Have runs succeed and fail, a runner die and be replaced, timers fire, and the doctor look."""
    room.start("api", "scheduler", "scheduler", "runner", "runner")
    for _ in range(5):
        room.submit(
            stage("parallel", "good", "quick", stage("sequential", "good", "quick")),
            stage("sequential", "bad", "good"),
        )
    run_id = room.submit(stage("parallel", *["held"] * 6), stage("sequential", "good"))
    victim = room.executed("held", 6)[0].pid
    next(process for process in room.fleet.processes if process.pid == victim).kill()
    room.open()
    tasks = room.ended(run_id)
    assert any(task["epoch"] > 1 for task in tasks.values()), "what the dead one held was taken over"
    room.all_ended()
    room.settled()
    runner, *_ = room.fleet.alive("runner")
    runner.terminate()
    assert runner.exit_code() == 0
    env = os.environ | {"MILLSTREAM_REDIS_URL": room.fleet.redis_url, "MILLSTREAM_LEASE_SECONDS": str(LEASE)}
    command = [str(Path(sys.executable).with_name("millstream")), "doctor"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_user_with_the_documented_rights_is_enough(room: Room) -> None:
    works(room)
    assert denied(room) == []


def test_the_engine_works_over_tls(room: Room, tmp_path: Path) -> None:
    with TlsFront(room.server.port, tmp_path) as front:
        told(room, url(front.port, "rediss", "localhost", f"?ssl_ca_certs={front.authority}"))
        works(room)
        room.fleet.close()
    assert denied(room) == []


def test_a_certificate_of_an_unknown_authority_is_refused(room: Room, tmp_path: Path) -> None:
    with TlsFront(room.server.port, tmp_path) as front:
        told(room, url(front.port, "rediss", "localhost"))
        process = room.fleet.start("scheduler", wait=False)
        (waiting,) = process.saw("waiting_for_redis")
        assert "certificate" in waiting["error"].lower()
        room.fleet.close()


@pytest.mark.parametrize("missing", ["-evalsha", "-xgroup", "-info"])
def test_a_right_that_is_missing_is_named_and_may_be_given_later(room: Room, missing: str) -> None:
    room.redis.execute_command("ACL", "SETUSER", "millstream", missing)
    scheduler = room.fleet.start("scheduler", wait=False)
    runner = room.fleet.start("runner", wait=False)
    api = room.fleet.start("api", wait=False)
    for process in (scheduler, runner, api):
        (said, *_) = process.saw("waiting_for_redis")
        assert "ACL rule" in said["error"]
    room.redis.execute_command("ACL", "SETUSER", "millstream", *rights())
    for process in (scheduler, runner, api):
        assert process.alive()
        process.started()
    room.ended(room.submit(stage("parallel", "good", "quick")))
    room.settled()


@pytest.mark.parametrize("missing", ["-xadd", "-zadd", "-hset"])
def test_what_a_script_was_denied_is_not_taken_for_done(room: Room, missing: str) -> None:
    room.start("api", "scheduler", "runner")
    room.redis.execute_command("ACL", "SETUSER", "millstream", missing)
    body = {"workflow": [stage("sequential", "good")]}
    assert {room.fleet.ask("/workflow", body)[0] for _ in range(3)} <= {0, 500, 503}
