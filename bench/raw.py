"""A raw Streams loop, no engine: what this machine, this Redis and Python could do at most.

One process writes a stream in batches of 200, then reads it through a consumer group, writes one status for
each message, acknowledges and deletes.
"""

import os
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import redis

from bench.meter import Meter
from bench.redis_server import RedisServer

BATCH: Final = 200


def measure(messages: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        server = RedisServer(Path(directory))
        try:
            server.wait()
            return _measure(server, messages)
        finally:
            server.close()


def _measure(server: RedisServer, messages: int) -> dict[str, Any]:
    with redis.Redis(port=server.port) as client:
        client.xgroup_create("raw", "g", id="0", mkstream=True)
        meter = Meter(server, {"client": os.getpid()})
        _write(client, messages)
        written = time.monotonic()
        _drain(client)
        ended, seconds = time.monotonic(), meter.seconds()
        cost, _ = meter.cost(messages, seconds)
    return {"end_to_end": asdict(cost), "drain": {"per_second": messages / (ended - written)}}


def _write(client: Any, messages: int) -> None:
    for first in range(0, messages, BATCH):
        pipe = client.pipeline(transaction=False)
        for n in range(first, min(first + BATCH, messages)):
            pipe.xadd("raw", {"m": b"x" * 150 + str(n).encode()})
        pipe.execute()


def _drain(client: Any) -> None:
    while found := client.xreadgroup("g", "c", {"raw": ">"}, count=BATCH):
        entries = [entry for entry, _ in found[0][1]]
        pipe = client.pipeline(transaction=False)
        for entry in entries:
            pipe.hset(b"t:" + entry, "status", "done")
        pipe.xack("raw", "g", *entries)
        pipe.xdel("raw", *entries)
        pipe.execute()
