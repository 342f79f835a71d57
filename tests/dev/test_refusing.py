"""What it refuses to start with, and what it says to do."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dev.house import Dev
from millstream.dev import redis_server
from millstream.dev.backing import without_password
from millstream.dev.banner import address, curl, stages
from millstream.dev.children import LEASH
from millstream.errors import ConfigurationError

Start = Callable[..., Dev]


def test_a_busy_port_is_named_before_anything_starts(start: Start, api_port: int) -> None:
    with socket.create_server(("127.0.0.1", api_port)):
        dev = start()
        assert dev.exit_code() == 2
    assert f"Port {api_port} on 127.0.0.1 is already in use" in dev.output
    assert "Stopping" not in dev.output


def test_a_second_one_in_the_same_directory_is_told_the_pid(start: Start) -> None:
    first = start().ready()
    second = start()
    assert second.exit_code() == 2
    assert f"dev {first.pid}, redis " in second.output
    assert first.ask("/health/ready") == {"status": "ready"}


def test_a_given_redis_that_is_away_is_named_without_its_password(start: Start, tmp_path: Path) -> None:
    dev = start(MILLSTREAM_REDIS_URL="redis://me:secret@127.0.0.1:1/0")
    assert dev.exit_code() == 2
    assert "MILLSTREAM_REDIS_URL is redis://me@127.0.0.1:1/0, which cannot be used" in dev.output
    assert "secret" not in dev.output
    assert not (tmp_path / ".millstream").exists()


def test_data_of_a_newer_redis_is_not_opened(start: Start, tmp_path: Path) -> None:
    (tmp_path / ".millstream").mkdir()
    (tmp_path / ".millstream" / "redis-version").write_text("99.1.0\n")
    dev = start()
    assert dev.exit_code() == 2
    assert "was written by Redis 99.1.0" in dev.output
    assert "install Redis 99 or newer" in dev.output


def test_a_redis_that_does_not_start_is_quoted(start: Start, tmp_path: Path) -> None:
    (tmp_path / ".millstream" / "redis").mkdir(parents=True)
    (tmp_path / ".millstream" / "redis" / "appendonly.aof").write_text("this is no log of commands\n")
    dev = start()
    assert dev.exit_code() == 2
    assert "did not start" in dev.output
    assert "Bad file format reading the append only file" in dev.output


def test_a_machine_without_any_redis_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(redis_server, "wheel_server", lambda: None)
    with pytest.raises(ConfigurationError, match="apt-get install redis-server"):
        redis_server.find_server()


def test_a_redis_that_is_too_old_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=5.0.7 sha=0'\n")
    old.chmod(0o755)
    new = tmp_path / "valkey-server"
    new.write_text("#!/bin/sh\necho 'Valkey server v=8.1.0 sha=0'\n")
    new.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert redis_server.find_server() == new


def test_a_child_whose_parent_has_died_already_does_not_start() -> None:
    not_the_parent = str(os.getpid() + 1)
    ended = subprocess.run(
        [sys.executable, "-I", "-S", LEASH, not_the_parent, sys.executable, "-c", "print('on')"],
        capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (1, "" if sys.platform == "linux" else ended.stdout)
    assert f"the parent {not_the_parent} is gone" in ended.stderr


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@localhost:6379/0?password=secret", "redis://localhost:6379/0"),
        ("rediss+sentinel://me:secret@h1:1,h2:2/main/0", "rediss+sentinel://me@h1:1,h2:2/main/0"),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize(
    ("offered", "tasks"),
    [
        (["one"], [["one"]]),
        (["one", "two", "three", "four"], [["one", "two"], ["three"]]),
        (["a", "b", "task_a", "task_b", "task_c"], [["task_a", "task_b"], ["task_c"]]),
    ],
)
def test_the_line_to_paste_uses_what_is_offered(offered: list[str], tasks: list[list[str]]) -> None:
    assert [stage["tasks"] for stage in stages(offered)] == tasks
    assert json.dumps({"workflow": stages(offered)}) in curl(address("0.0.0.0", 80), offered)  # noqa: S104
