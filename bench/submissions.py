"""HTTP submissions per second of one api process, while scheduler and runner are stopped."""

from dataclasses import asdict
from typing import Any

from bench.engine import Engine
from bench.processes import BenchError
from bench.workflows import WORKLOADS


def measure(engine: Engine, requests: int, connections: int) -> dict[str, Any]:
    """Post the 2+1 workflow over kept connections. The engine is of no use afterwards: its runs are never run.

    Raises BenchError when an answer is not 200, or an accepted run is missing.
    """
    engine.freeze()
    load = engine.child("load", "bench.load")
    load.ask(
        op="open", port=engine.api_port, connections=connections, body={"workflow": WORKLOADS["2+1"].stages}
    )
    warm_up = max(connections, requests // 10)
    load.ask(op="post", requests=warm_up)
    meter = engine.meter("api", client=load)
    answer = load.ask(op="post", requests=requests)
    cost, _ = meter.cost(requests, answer["seconds"])
    if answer["statuses"] != {"200": requests}:
        raise BenchError(
            f"{requests} POSTs should have been answered with 200, but were: {answer['statuses']}"
        )
    if engine.waiting() != warm_up + requests:
        raise BenchError(
            f"{warm_up + requests} runs were accepted by the api, but {engine.waiting()} are there"
        )
    return asdict(cost)
