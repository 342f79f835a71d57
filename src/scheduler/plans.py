"""The scheduler's memory of plans: made once for each definition and remembered for each run."""

from collections import OrderedDict
from functools import lru_cache
from typing import Final

from millstream.errors import UnreadableMessageError
from millstream.messages import Report, read_plan
from millstream.plan import Plan
from millstream.store.store import Store

RUNS: Final = 10_000  # runs remembered; another scheduler may have opened the rest
DEFINITIONS: Final = 256


@lru_cache(maxsize=DEFINITIONS)
def compile_plan(definition: bytes) -> Plan:
    """Make the plan of a canonical definition; many runs share one. Raises UnreadableMessageError."""
    return read_plan(definition)


class Plans:
    """Finds the plan that a report is about."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._runs: OrderedDict[str, Plan] = OrderedDict()

    async def of(self, report: Report) -> Plan | None:
        """Give the run's plan; None when the run is gone.

        Raises RedisUnavailableError, UnreadableMessageError when the definition cannot be understood.
        """
        plan = self._runs.get(report.run_id)
        if plan is None:
            definition = report.definition or await self._store.definition(report.run_id)
            if definition is None:
                return None
            plan = compile_plan(definition)
            self._runs[report.run_id] = plan
            if len(self._runs) > RUNS:
                self._runs.popitem(last=False)
        return plan

    async def whole(self, run_id: str) -> Plan:
        """Give the plan of a run whatever was reported of it; one without tasks when there is none to be read.

        Raises RedisUnavailableError.
        """
        definition = await self._store.definition(run_id)
        try:
            return compile_plan(definition or b"[]")
        except UnreadableMessageError:
            return Plan([])

    def forget(self, run_id: str) -> None:
        """Drop a run that has ended."""
        self._runs.pop(run_id, None)
