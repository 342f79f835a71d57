"""How long one step takes on an engine that has nothing else to do."""

from typing import Any, Final

from bench.engine import Engine
from bench.workflows import STAMPED_CHAIN

WARM_UP: Final = 20


def measure(engine: Engine, samples: int, *, http: bool) -> dict[str, Any]:
    """Run chains of 10 one at a time; milliseconds, by what was waited for (see client.py)."""
    port = engine.api_port if http else 0
    for runs in (WARM_UP, samples):
        seen: dict[str, Any] = engine.client.ask(
            op="latency", stages=STAMPED_CHAIN.stages, runs=runs, port=port
        )
        engine.expect(runs)
        engine.wait_ended()
    return seen
