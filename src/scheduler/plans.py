"""The scheduler's memory of plans: made once for each definition and found again for each run."""

from collections import OrderedDict
from typing import Final
from weakref import ref

from millstream.errors import UnreadableMessageError
from millstream.protocol.messages import Report, read_plan
from millstream.store import Store
from millstream.workflow.plan import Plan

RUNS: Final = 10_000  # runs remembered; another scheduler may have opened the rest
MOST_BYTES: Final = 100_000_000  # of all remembered plans, as `_size` estimates them
BYTES_A_PLAN: Final = 2000
BYTES_A_TASK: Final = 420  # measured; its id and name come on top, and are about as long as in the definition


class Definitions:
    """Plans by definition: those used last, bounded by what they take."""

    def __init__(self) -> None:
        self._plans: OrderedDict[bytes, Plan] = OrderedDict()
        self._bytes = 0

    def plan(self, definition: bytes) -> Plan:
        """Make the plan of a canonical definition; many runs share one. Raises UnreadableMessageError."""
        found = self._plans.get(definition)
        if found is not None:
            self._plans.move_to_end(definition)
            return found
        plan = self._plans[definition] = read_plan(definition)
        self._bytes += _size(definition, plan)
        while self._bytes > MOST_BYTES and len(self._plans) > 1:
            self._bytes -= _size(*self._plans.popitem(last=False))
        return plan


def _size(definition: bytes, plan: Plan) -> int:
    return BYTES_A_PLAN + 2 * len(definition) + BYTES_A_TASK * len(plan.tasks)


_definitions: Final = Definitions()  # of all partitions of the process


class Plans:
    """Finds the plan that a report is about."""

    def __init__(self, store: Store, definitions: Definitions = _definitions) -> None:
        self._store = store
        self._definitions = definitions
        # By reference, so that ten thousand runs do not keep what `Definitions` has let go.
        self._runs: OrderedDict[str, ref[Plan]] = OrderedDict()

    async def of(self, report: Report) -> Plan | None:
        """Give the run's plan; None when the run is gone.

        Raises RedisUnavailableError, UnreadableMessageError when the definition cannot be understood.
        """
        known = self._runs.get(report.run_id)
        plan = known() if known else None
        if plan is None:
            definition = report.definition or await self._store.definition(report.run_id)
            if definition is None:
                return None
            plan = self._definitions.plan(definition)
            self._runs[report.run_id] = ref(plan)
            if len(self._runs) > RUNS:
                self._runs.popitem(last=False)
        return plan

    async def whole(self, run_id: str) -> Plan:
        """Give the plan of a run whatever was reported of it; one without tasks when there is none to be read.

        Raises RedisUnavailableError.
        """
        definition = await self._store.definition(run_id)
        try:
            return self._definitions.plan(definition or b"[]")
        except UnreadableMessageError:
            return Plan([])

    def forget(self, run_id: str) -> None:
        """Drop a run that has ended."""
        self._runs.pop(run_id, None)
