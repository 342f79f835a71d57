"""How tests are spread over the processes of pytest-xdist, each of which has a Redis and a block of ports of its own."""

import os
from pathlib import Path
from typing import Final

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from sayings import said, say

# Most tests wait more than they compute: more processes than cores, up to where they keep each other waiting.
A_CORE: Final = 2.5
# What takes longest begins first, so that nobody waits for it in the end.
FIRST: Final = (
    "storm", "containers", "benchmark", "crash", "upgrade", "backup", "secured", "dev", "manifests", "doctor", "flow",
)  # fmt: skip
# What shares something that is costly to make, and goes to one process together.
TOGETHER: Final = (
    "benchmark/test_command.py",
    "benchmark/test_footprint.py",
    "benchmark/test_scale.py",
    "containers/test_compose.py",
    "containers/test_image.py",
    "manifests",
)
TESTS: Final = Path(__file__).parent
SAID: Final = "millstream_said"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """None but this process for one file, and on a Redis that was given: every test deletes all that is in it."""
    one_file = len(config.args) == 1 and Path(config.args[0].partition("::")[0]).is_file()
    if one_file or "://" in os.environ.get("MILLSTREAM_TEST_REDIS", ""):
        return 0
    return round(A_CORE * len(os.sched_getaffinity(0)))


class Spreading(LoadScopeScheduling):  # type: ignore[misc]
    """Gives out one test after another, in their order, and what belongs together as one."""

    def _split_scope(self, nodeid: str) -> str:
        return next((shared for shared in TOGETHER if nodeid.startswith(f"tests/{shared}")), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Spreading:
    return Spreading(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _turn(item.path.relative_to(TESTS).parts[0]))


def _turn(room: str) -> int:
    return FIRST.index(room) if room in FIRST else len(FIRST)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In one of many processes, hand over what it has to say: nobody sees its output."""
    if (handed := getattr(session.config, "workeroutput", None)) is not None:
        handed[SAID] = said()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    for line in getattr(node, "workeroutput", {}).get(SAID, []):
        say(line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in said():
        terminalreporter.write_line(line)
