"""An examination: one look, and a second when the first has found something."""

import asyncio
from collections.abc import Awaitable, Callable

from millstream.doctor.indices import look_at_indices
from millstream.doctor.keyspace import look_at_keys
from millstream.doctor.ledger import Ledger
from millstream.doctor.partition import Partition
from millstream.doctor.processes import look_at_processes, sum_up_processes
from millstream.doctor.report import Report
from millstream.doctor.runs import look_at_runs
from millstream.doctor.server import look_at_servers
from millstream.doctor.streams import look_at_letters, look_at_streams
from millstream.doctor.timers import look_at_timers
from millstream.errors import ConfigurationError
from millstream.redis.audit import Audit
from millstream.settings import Settings
from millstream.store import Store

Pause = Callable[[], Awaitable[None]]


async def examine(settings: Settings, pause: Pause | None = None) -> Report:
    """Audit the Redis of these settings. Raises RedisUnavailableError, ConfigurationError.

    Between two looks lies half a lease: a sweep comes round every third.
    """
    store = Store(settings, "doctor")
    audit = Audit(store.connector, [store.channel(keys) for keys in store.partitions])
    try:
        ledger = await _look(audit, store, None)
        looks = 1
        if ledger.evidence:
            await (pause() if pause else asyncio.sleep(max(1.0, settings.lease_seconds / 2)))
            ledger = await _look(audit, store, ledger)
            looks = 2
        return Report(list(ledger.checks.values()), looks)
    finally:
        await audit.close()
        await store.close()


async def _look(audit: Audit, store: Store, earlier: Ledger | None) -> Ledger:
    ledger = Ledger(earlier.evidence if earlier else None)
    set_up = await _is_set_up(audit, store.settings)
    partitions = [Partition(audit, store.settings, keys, ledger, set_up) for keys in store.partitions]
    await look_at_servers(audit, ledger)
    for p in partitions:
        await look_at_processes(p)
        await look_at_timers(p)
        await look_at_streams(p)
        await look_at_runs(p)
        await look_at_indices(p)
        await look_at_letters(p)
    await look_at_keys(audit, partitions)
    sum_up_processes(partitions)
    return ledger


async def _is_set_up(audit: Audit, settings: Settings) -> bool:
    stored = await audit.stored_partitions()
    if stored not in {None, settings.partitions}:
        raise ConfigurationError(
            f"This Redis was set up with MILLSTREAM_PARTITIONS={stored}, not {settings.partitions}; "
            "give the doctor the settings that the services have"
        )
    return stored is not None
