"""A master is killed, and Sentinel makes its replica the master: the work goes on there."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from crash.house import LEASE, TASKS, expected, stage
from fleet import Fleet
from ports import free_port
from servers import Server, answers, server_binary, wait_until

MASTER = "mymaster"
STAGES = [stage("parallel", "good", "bad", *["quick"] * 6), stage("sequential", "good")]


@contextlib.contextmanager
def sentinel(directory: Path, master: Server) -> Iterator[redis.Redis]:
    """Watch a master with one Sentinel, which decides alone."""
    port = free_port()
    directory.mkdir()
    config = directory / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {directory}\n"
        f"sentinel monitor {MASTER} 127.0.0.1 {master.port} 1\n"
        f"sentinel down-after-milliseconds {MASTER} 500\nsentinel failover-timeout {MASTER} 3000\n"
    )
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([server_binary(), str(config), "--sentinel"], stdout=log, stderr=log)
    try:
        wait_until(lambda: answers(port), "the Sentinel to answer")
        with redis.Redis(port=port, decode_responses=True) as client:
            yield client
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """A master and its replica."""
    with contextlib.ExitStack() as stopping:
        master = Server(tmp_path / "master")
        stopping.callback(master.stop)
        replica = Server(tmp_path / "replica", "--replicaof", "127.0.0.1", str(master.port))
        stopping.callback(replica.stop)
        yield master, replica


def port_of(watcher: Any) -> int:
    """Where the Sentinel says that the master is."""
    return int(watcher.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)[1])


def test_work_goes_on_at_the_new_master_and_what_ran_meanwhile_is_recorded_once(
    tmp_path: Path, pair: tuple[Server, Server]
) -> None:
    master, replica = pair
    with sentinel(tmp_path / "sentinel", master) as watcher:
        wait_until(lambda: watcher.sentinel_slaves(MASTER), "the Sentinel to know the replica")
        port = watcher.connection_pool.connection_kwargs["port"]
        url = f"redis+sentinel://127.0.0.1:{port}/{MASTER}/0"
        with Fleet(url, tmp_path / "fleet", TASKS, lease_seconds=LEASE, runner_slots=30) as fleet:
            for process in [
                fleet.start(kind, wait=False) for kind in ("api", "scheduler", "runner", "runner")
            ]:
                process.started()
            held = fleet.submit([stage("sequential", "held", "good")])
            runs = [fleet.submit(STAGES) for _ in range(20)]
            wait_until(lambda: "held" in (tmp_path / "fleet" / "executions").read_text(), "the task to begin")
            with redis.Redis(port=master.port) as client:
                assert client.wait(1, 10_000) == 1, "the replica has it all"
            master.kill()
            wait_until(lambda: port_of(watcher) == replica.port, "the failover", 30)
            (tmp_path / "fleet" / "open").touch()
            task = fleet.ended(held)["workflow"][0]["tasks"][0]
            assert (task["status"], task["attempts"], task["epoch"]) == ("success", 1, 1)
            runs += [fleet.submit(STAGES) for _ in range(20)]
            for run_id in runs:
                view = fleet.ended(run_id)
                assert (fleet.status(run_id), view["state"]) == expected(STAGES)
            ledger = (tmp_path / "fleet" / "executions").read_text()
            assert ledger.count("held") == 1, "a task that ran through the failover ran once"
            assert not fleet.events("name_lost")
            with redis.Redis(port=replica.port) as client:
                assert [client.xlen(stream) for stream in ("tasks", "workflows", "reports")] == [0, 0, 0]
