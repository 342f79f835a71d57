"""From one URL to connections: standalone, Sentinel or Cluster (README, "Settings").

What happens all the time goes over wires (`wire.py`), with the client's own retries off: a retried read
would lose entries silently, and the engine's calls are made to be sent again. What is rare goes through
redis-py's ordinary client.
"""

import asyncio
import contextlib
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from redis import exceptions
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import Connection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.crc import key_slot

from millstream.errors import ConfigurationError, RedisUnavailableError
from millstream.redis.wire import Wire

CONNECT_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 5.0
NODE_SECONDS: Final = 1.0  # for one cluster node to say which slots it knows
# Answers by which Redis says "not now": full, read-only, cannot persist, loading, moving, demoted, in a long script.
_NOT_NOW = re.compile(
    r"\b(UNBLOCKED|BUSY|OOM|READONLY|MISCONF|LOADING|CLUSTERDOWN|MASTERDOWN|MOVED|ASK|TRYAGAIN|NOREPLICAS)\b"
)
# The same, where the client has taken the word out of the text and made a class of it; a master that is down is one
# of the cluster's, and a Redis that loads a lost connection.
_NOT_NOW_ERRORS = (
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    exceptions.AskError,
    exceptions.TryAgainError,
    exceptions.ClusterDownError,
)
_DENIED = "Redis denies the user of MILLSTREAM_REDIS_URL a right; the README has the ACL rule"
# A right that a script lacks, as Redis 6.2 and later ones say it. What the script had written before stays, so this is
# final: sent again, it could be answered as if it had been done.
_DENIED_IN_SCRIPT = re.compile(r"The user executing the script can't|ACL failure in script")
_CLOSED = "the handler is closed"  # uvloop's words, a RuntimeError, for a connection that was reset while it was idle


@contextlib.contextmanager
def unavailable_as_ours() -> Iterator[None]:
    """Raise RedisUnavailableError for whatever means that Redis cannot serve now."""
    try:
        yield
    except (exceptions.AuthenticationError, exceptions.AuthorizationError) as error:
        raise RedisUnavailableError(
            f"Redis refuses the user or password of MILLSTREAM_REDIS_URL: {error}"
        ) from error
    except (exceptions.ConnectionError, exceptions.TimeoutError, OSError, TimeoutError) as error:
        raise RedisUnavailableError(f"Redis cannot be reached: {error}") from error
    except exceptions.ResponseError as error:
        text = f"{type(error).__name__} {error}"
        if isinstance(error, _NOT_NOW_ERRORS) or _NOT_NOW.search(text):
            raise RedisUnavailableError(f"Redis cannot take this now: {error}") from error
        if _DENIED_IN_SCRIPT.search(text):
            raise ConfigurationError(f"{_DENIED}: {error}") from error
        if isinstance(error, exceptions.NoPermissionError):
            raise RedisUnavailableError(f"{_DENIED}: {error}") from error
        raise
    except RuntimeError as error:
        if _CLOSED not in str(error):
            raise
        raise RedisUnavailableError(f"The connection to Redis was closed: {error}") from error
    except exceptions.RedisClusterException as error:
        raise RedisUnavailableError(f"The Redis Cluster cannot be reached: {error}") from error


class Connector:
    """Makes connections to the Redis that a URL names."""

    def __init__(self, url: str, name: str) -> None:
        self._name = name
        parts = urlsplit(url)
        scheme, _, self._kind = parts.scheme.partition("+")
        hosts = parts.netloc.rpartition("@")[2].split(",")
        first = parts.netloc.rpartition("@")[0]
        path, self._master = parts.path, ""
        if self._kind == "sentinel":
            self._master, _, database = parts.path.lstrip("/").partition("/")
            path = f"/{database or 0}"
            if not self._master:
                raise ConfigurationError(
                    "MILLSTREAM_REDIS_URL must name the master: redis+sentinel://host/mymaster/0"
                )
        netloc = f"{first}@{hosts[0]}" if first else hosts[0]
        plain = urlunsplit((scheme, netloc, path, parts.query, ""))
        try:
            self._options: dict[str, Any] = dict(parse_url(plain))
        except ValueError as error:
            raise ConfigurationError(f"MILLSTREAM_REDIS_URL cannot be read: {error}") from error
        self._class = self._options.pop("connection_class", Connection)
        self._nodes = [_host_port(host, 26379 if self._kind == "sentinel" else 6379) for host in hosts]
        self.client = self._make_client()

    def _make_client(self) -> Any:
        limits = {
            "socket_timeout": ANSWER_SECONDS,
            "socket_connect_timeout": CONNECT_SECONDS,
            "protocol": 2,
            "driver_info": None,  # redis-py would read its own package's version from the disk each time
            "client_name": self._name,
        }
        options = {**self._options, **limits}
        tls = self._class is not Connection
        if self._kind == "cluster":
            for unwanted in ("host", "port", "db"):
                options.pop(unwanted, None)
            nodes = [ClusterNode(host, port) for host, port in self._nodes]
            return RedisCluster(startup_nodes=nodes, ssl=tls, **options)
        options["retry"] = Retry(NoBackoff(), 1)
        if self._kind == "sentinel":
            keep = {key: value for key, value in options.items() if key not in ("host", "port")}
            sentinel = {
                "socket_timeout": ANSWER_SECONDS,
                "socket_connect_timeout": CONNECT_SECONDS,
                "ssl": tls,
            }
            self._sentinel = Sentinel(self._nodes, sentinel_kwargs=sentinel, ssl=tls, **keep)  # type: ignore[no-untyped-call]
            return self._sentinel.master_for(self._master)
        return Redis(ssl=tls, **options)

    async def connect(self, key: str) -> Wire:
        """Open a raw connection to the node that holds a key: no retries, bytes.

        Raises RedisUnavailableError.
        """
        with unavailable_as_ours():
            async with asyncio.timeout(ANSWER_SECONDS):
                return Wire(await self._open(await self._address(key)))

    async def _open(self, address: dict[str, Any]) -> Connection:
        ours = {
            "retry": Retry(NoBackoff(), 0), "socket_timeout": None, "protocol": 2, "driver_info": None,
            "socket_connect_timeout": CONNECT_SECONDS, "client_name": self._name,
        }  # fmt: skip
        connection: Connection = self._class(**(self._options | address | ours))
        await connection.connect()  # type: ignore[no-untyped-call]
        return connection

    async def _address(self, key: str) -> dict[str, Any]:
        """Look up where a key lives, anew for every connection: after a failure it may have moved."""
        if self._kind == "cluster":
            return await self._node_of(key_slot(key.encode()))
        if self._kind == "sentinel":
            host, port = await self._sentinel.discover_master(self._master)
            return {"host": host, "port": port}
        return {}

    async def _node_of(self, slot: int) -> dict[str, Any]:
        """Ask the known nodes, one after another, which holds a slot; what they name is known from then on."""
        for host, port in list(self._nodes):
            try:
                async with asyncio.timeout(NODE_SECONDS):
                    ranges = await self._slots_by(host, port)
            except (exceptions.ConnectionError, exceptions.TimeoutError, TimeoutError):
                self._nodes.remove((host, port))
                self._nodes.append((host, port))  # asked last from now on
                continue
            for first, last, (name, at, *_), *_ in ranges:
                node = (name.decode() or host, at)
                if node not in self._nodes:
                    self._nodes.append(node)
                if first <= slot <= last:
                    return {"host": node[0], "port": at, "db": 0}
        raise exceptions.RedisClusterException(f"no node that answers holds slot {slot}")

    async def _slots_by(self, host: str, port: int) -> Any:
        connection = await self._open({"host": host, "port": port, "db": 0})
        try:
            await connection.send_command("CLUSTER", "SLOTS")
            return await connection.read_response()
        finally:
            await connection.disconnect(nowait=True)

    async def info(self) -> dict[str, Any]:
        """Redis's INFO of one node. Raises RedisUnavailableError."""
        with unavailable_as_ours():
            if self._kind == "cluster":
                return dict(await self.client.info(target_nodes=RedisCluster.RANDOM))
            return dict(await self.client.info())

    async def close(self) -> None:
        """Close the ordinary client's connections."""
        await self.client.aclose()


def _host_port(text: str, default: int) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    return (host.strip("[]"), int(port)) if separator and port.isdigit() else (text.strip("[]"), default)
