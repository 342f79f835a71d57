"""The command as people and alerts use it: a process, its exit status, what it prints."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis

from millstream.doctor.kinds import CHECKS, KINDS
from millstream.protocol.keys import Keys
from millstream.settings import Settings
from ports import free_port

RUN_ID = "7d0c1a52-4f0e-4a83-9d0d-3f6c1b0a9e11"
KEYS = Keys(0, 1)


def doctor(url: str, *options: str, **told: object) -> tuple[int, str, str]:
    """Run it; gives its exit status and what it printed."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("MILLSTREAM_")}
    env |= {"MILLSTREAM_REDIS_URL": url, "MILLSTREAM_LEASE_SECONDS": "0.5"}
    env |= {f"MILLSTREAM_{name.upper()}": str(value) for name, value in told.items()}
    command = [str(Path(sys.executable).with_name("millstream")), "doctor", *options]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def stuck(settings: Settings) -> str:
    """Give the URL of a Redis with one run that stands still."""
    with redis.Redis.from_url(settings.redis_url) as client:
        client.hset(KEYS.of(RUN_ID).record, mapping={"v": 1, "state": "running", "created": 1})
        client.hset(KEYS.of(RUN_ID).status, "bake", "pending")
        client.set(KEYS.of(RUN_ID).definition, '[{"type": "sequential", "tasks": ["bake"]}]')
        client.zadd(KEYS.runs, {RUN_ID: 1})
        client.zadd("runs:running", {RUN_ID: 1})
    return settings.redis_url


def test_healthy_is_0_with_a_line_for_each_check(settings: Settings) -> None:
    code, said, complaints = doctor(settings.redis_url)
    assert (code, complaints) == (0, "")
    for check in CHECKS:
        (line,) = [line for line in said.splitlines() if line.startswith(check)]
        assert line.endswith(": ok")
    assert said.splitlines()[-1] == "healthy (one look)"


def test_a_cluster_is_examined_as_a_whole(redis_cluster: str) -> None:
    with redis.RedisCluster.from_url(redis_cluster.replace("redis+cluster", "redis").split(",")[0]) as client:
        client.flushall(target_nodes="all")
    code, said, _ = doctor(redis_cluster, partitions=3)
    assert code == 0
    assert "3 servers" in said


def test_wrong_is_1_and_names_the_run_and_what_to_do(stuck: str) -> None:
    code, said, complaints = doctor(stuck)
    assert (code, complaints) == (1, "")
    assert f"run {RUN_ID}, open: bake" in said
    assert "Post its workflow again" in said
    assert "NO LIVE SCHEDULER" in said
    assert said.splitlines()[-1].startswith("NOT HEALTHY: 3 wrong, stuck runs: 1")


def test_json_is_one_object_with_a_figure_for_stuck_runs(stuck: str) -> None:
    code, said, _ = doctor(stuck, "--json")
    report: dict[str, Any] = json.loads(said)
    assert (code, report["healthy"], report["stuck"], report["looks"]) == (1, False, 1, 2)
    assert [check["check"] for check in report["checks"]] == list(CHECKS)
    (runs,) = [check for check in report["checks"] if check["check"] == "runs"]
    assert (runs["looked"], runs["wrong"], runs["kinds"]) == (1, 1, {"stuck": 1})
    assert runs["findings"][0]["about"] == {"run_id": RUN_ID}


def test_json_of_what_is_healthy(settings: Settings) -> None:
    code, said, _ = doctor(settings.redis_url, "--json")
    report = json.loads(said)
    assert (code, report["healthy"], report["wrong"], report["stuck"]) == (0, True, 0, 0)


def test_a_redis_that_cannot_be_reached_is_2() -> None:
    url = f"redis://:secret@127.0.0.1:{free_port()}/0"
    code, said, complaints = doctor(url)
    assert (code, said) == (2, "")
    assert "Redis cannot be reached" in complaints
    assert "secret" not in complaints
    code, said, _ = doctor(url, "--json")
    assert (code, list(json.loads(said))) == (2, ["error"])


def test_settings_that_are_wrong_are_2(settings: Settings) -> None:
    code, _, complaints = doctor(settings.redis_url, lease_seconds="soon")
    assert code == 2
    assert "MILLSTREAM_LEASE_SECONDS" in complaints
    with redis.Redis.from_url(settings.redis_url) as client:
        client.set("partitions", 4)
    code, _, complaints = doctor(settings.redis_url)
    assert code == 2
    assert "MILLSTREAM_PARTITIONS=4" in complaints


def test_a_key_that_holds_something_else_is_2_and_said(settings: Settings) -> None:
    with redis.Redis.from_url(settings.redis_url) as client:
        client.set("timers", "wound up")
    code, _, complaints = doctor(settings.redis_url)
    assert code == 2
    assert "WRONGTYPE" in complaints


def test_the_page_about_the_doctor_names_every_kind_of_finding() -> None:
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text()
    assert [kind for kind in KINDS if f"`{kind}`" not in page] == []
