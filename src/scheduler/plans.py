"""The plans of runs, as a scheduler needs them: found again for each run."""

from collections import OrderedDict
from typing import Final
from weakref import ref

from millstream.errors import UnreadableMessageError
from millstream.protocol.requests import GateCame, Request
from millstream.store import Store
from millstream.workflow.plan import Plan
from millstream.workflow.plans import Plans

RUNS: Final = 10_000  # runs remembered; another scheduler may have opened the rest
NO_TASKS: Final = b"[]"
_plans: Final = Plans()  # of all partitions of the process


class PlansOfRuns:
    """Finds the plan that a request is about."""

    def __init__(self, store: Store, plans: Plans = _plans) -> None:
        self._store = store
        self._plans = plans
        # By reference, so that ten thousand runs do not keep what `Plans` has let go.
        self._runs: OrderedDict[str, ref[Plan]] = OrderedDict()

    async def of(self, request: Request) -> Plan | None:
        """Give the run's plan; None when the run is gone.

        Raises RedisUnavailableError, DamagedDataError, UnreadableMessageError when the definition cannot be understood.
        """
        run_id = request.run.run_id
        known = self._runs.get(run_id)
        plan = known() if known else None
        if plan is None:
            definition = request.asked.definition if isinstance(request.asked, GateCame) else None
            if definition is None:
                _, definition = await self._store.definition(run_id)
            if definition is None:
                return None
            plan = self._plans.of(definition)
            self._runs[run_id] = ref(plan)
            if len(self._runs) > RUNS:
                self._runs.popitem(last=False)
        return plan

    def of_damaged(self, definition: bytes | None) -> Plan:
        """Give the plan of a definition, whatever it is; one without tasks when it cannot be read."""
        try:
            return self._plans.of(definition or NO_TASKS)
        except UnreadableMessageError:
            return self._plans.of(NO_TASKS)

    def forget(self, run_id: str) -> None:
        """Drop a run that has ended."""
        self._runs.pop(run_id, None)
