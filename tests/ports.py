"""Ports of loopback that nobody else takes: each process that runs tests has a block of them to itself."""

import contextlib
import itertools
import random
import socket
from collections.abc import Iterator
from functools import cache
from typing import Final

# All of them, and a cluster's bus ports, which are 10000 higher, lie below those that the system gives to connections.
FIRST: Final = 10_000
BLOCK: Final = 250
BLOCKS: Final = 40
_held: list[socket.socket] = []


def free_port() -> int:
    """A port of this process's block on which nobody listens, nor on its bus port; the one given last comes last again."""
    while True:
        port = next(_ports())
        with contextlib.suppress(OSError), _bound(port), _bound(port + 10_000):
            return port


@cache
def _ports() -> Iterator[int]:
    """Claim a block: its first port stays bound as long as this process lives."""
    blocks = list(range(FIRST, FIRST + BLOCKS * BLOCK, BLOCK))
    random.shuffle(blocks)  # who uses some ports of a block without having claimed it is not met each time
    for first in blocks:
        with contextlib.suppress(OSError):
            _held.append(_bound(first))
            return itertools.cycle(range(first + 1, first + BLOCK))
    raise RuntimeError(f"all {BLOCKS} blocks of ports from {FIRST} are claimed")


def _bound(port: int) -> socket.socket:
    taken = socket.socket()
    try:
        taken.bind(("127.0.0.1", port))
    except OSError:
        taken.close()
        raise
    return taken
