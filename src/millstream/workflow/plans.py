"""A memory of plans: made once for each definition, whoever asks."""

from collections import OrderedDict
from typing import Final

from millstream.workflow.plan import Plan, plan_of

MOST_BYTES: Final = 100_000_000  # of all remembered plans, as `_size` estimates them
BYTES_A_PLAN: Final = 2000
BYTES_A_TASK: Final = 420  # measured; its id and name come on top, and are about as long as in the definition


class Plans:
    """Plans by definition: those used last, bounded by what they take."""

    def __init__(self) -> None:
        self._plans: OrderedDict[bytes, Plan] = OrderedDict()
        self._bytes = 0

    def of(self, definition: bytes) -> Plan:
        """Give the plan of a canonical definition; many runs share one. Raises UnreadableMessageError."""
        found = self._plans.get(definition)
        if found is not None:
            self._plans.move_to_end(definition)
            return found
        plan = self._plans[definition] = plan_of(definition)
        self._bytes += _size(definition, plan)
        while self._bytes > MOST_BYTES and len(self._plans) > 1:
            self._bytes -= _size(*self._plans.popitem(last=False))
        return plan


def _size(definition: bytes, plan: Plan) -> int:
    return BYTES_A_PLAN + 2 * len(definition) + BYTES_A_TASK * len(plan.tasks)
