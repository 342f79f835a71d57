"""From one URL to connections: standalone, Sentinel or Cluster (design, section 8).

Services use raw connections for their two hot loops, with the client's own retries off: a retried read
would lose entries silently, and the engine's calls are made to be sent again. Everything else goes
through redis-py's ordinary client.
"""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from redis import exceptions
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import Connection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from millstream.errors import ConfigurationError, RedisUnavailableError

CONNECT_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 5.0
# Answers by which Redis says "not now": full, read-only, cannot persist, still loading, moving.
_NOT_NOW = re.compile(
    r"\b(OOM|READONLY|MISCONF|LOADING|CLUSTERDOWN|MASTERDOWN|MOVED|ASK|TRYAGAIN|NOREPLICAS)\b"
)


@contextmanager
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
        if isinstance(
            error, exceptions.ReadOnlyError | exceptions.OutOfMemoryError | exceptions.MovedError
        ) or (_NOT_NOW.search(text)):
            raise RedisUnavailableError(f"Redis cannot take this now: {error}") from error
        raise
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

    async def connect(self, key: str) -> Connection:
        """Open a raw connection to the node that holds a key: no retries, no timeouts of its own, bytes.

        Raises RedisUnavailableError.
        """
        with unavailable_as_ours():
            async with asyncio.timeout(ANSWER_SECONDS):
                options = self._options | await self._address(key)
                connection = self._class(
                    **options, retry=Retry(NoBackoff(), 0), socket_timeout=None, protocol=2,
                    socket_connect_timeout=CONNECT_SECONDS, client_name=self._name,
                )  # fmt: skip
                await connection.connect()
        return connection  # type: ignore[no-any-return]

    async def _address(self, key: str) -> dict[str, Any]:
        if self._kind == "cluster":
            await self.client.initialize()
            node = self.client.get_node_from_key(key)
            if node is None:
                raise exceptions.RedisClusterException(f"no node holds {key!r}")
            return {"host": node.host, "port": node.port, "db": 0}
        if self._kind == "sentinel":
            host, port = await self._sentinel.discover_master(self._master)
            return {"host": host, "port": port}
        return {}

    async def forget_topology(self) -> None:
        """After a failure: look up again which node holds what, before the next connection."""
        if self._kind == "cluster":
            await self.client.aclose()

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
