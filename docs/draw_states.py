# ruff: noqa: INP001 (a folder of documents, not a package)
"""Draw `docs/state_machine.md` from `millstream.states`: `python -m docs.draw_states [--check]`.

With `--check` nothing is written; the exit status is 1 when the page is not what would be drawn.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from docs.drawing import draw
from millstream.states import ENDED_RUN, ENDED_TASK, NEW, RUN_EDGES, TASK_EDGES, Edge, RunState, TaskState

PAGE: Final = Path(__file__).with_name("state_machine.md")
INTRODUCTION: Final = """\
# The state machine

<!-- Drawn by `python -m docs.draw_states` from src/millstream/states.py; change that, then draw again. -->

A run and each of its tasks are in one state, and these are all the moves there are. Each move is made by one
Lua script (`src/millstream/scripts/lua/<subject>/<script>.lua`), which also writes the message that comes next and
acknowledges the one that caused it: there is no moment between them at which a crash could lose a task or run it
twice. Asked for a move that is not in these tables, a script changes no state. A test tries every script from every
state and holds it to that.

Processes die, freeze and come back late, and replies get lost. Two things tell a script whether its caller may
still speak.

**A licence** is for schedulers. A scheduler acts because of a message that it has read: a submission, or a report
that a gate has come to its end. As long as that message is pending in the consumer group, whoever holds it may take
the decision's next step, and only the next one: the run counts the steps taken. The last step acknowledges the
message, and with that the licence is used up. So a decision may be sent twice, stopped half-way, or finished by
another scheduler, and each step still happens once. A step that was taken already is answered with the number of
the one to go on from.

**An epoch** is for runners. Every message of a task carries a number, and the run remembers the highest that it gave
out for that task. A new message, written because a runner stops, has died or lacks the task, gets the next number and
closes the old one: what somebody still says about the old message is refused as `stale` or `obsolete`. A start is
accepted only from the consumer for which the message is pending, and an outcome only once, because recording it
acknowledges the message. That is why a task that ran twice has one outcome.

An edge from a state to itself is a move that the state does not show: a message is written under its epoch, or a
repeated call gets its first answer again.
"""


def diagram(edges: Iterable[Edge], ended: Iterable[str]) -> str:
    """Draw the moves between states; scripts that make the same move share an arrow."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for edge in edges:
        arrows.setdefault((_node(edge.before), edge.after), []).append(edge.script)
    lines = [f"    {before} --> {after}: {', '.join(scripts)}" for (before, after), scripts in arrows.items()]
    reached = {after for _, after in arrows}
    lines += [f"    {state} --> [*]" for state in sorted(ended) if state in reached]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


def _node(state: str) -> str:
    return "[*]" if state == NEW else state


def table(edges: Iterable[Edge]) -> str:
    """List every edge: from, to, script, cause."""
    rows = [f"| {_cell(edge.before)} | `{edge.after}` | `{edge.script}` | {edge.cause} |" for edge in edges]
    return "\n".join(["| from | to | script | cause |", "|---|---|---|---|", *rows])


def _cell(state: str) -> str:
    return "new" if state == NEW else f"`{state}`"


def unreached(states: Iterable[str], edges: Iterable[Edge]) -> str:
    """Name the states that no script leads to yet, as a paragraph; empty when there are none."""
    targets = {edge.after for edge in edges}
    missing = [f"`{state}`" for state in states if state not in targets]
    return f"\nNo script leads to {', '.join(missing)} yet.\n" if missing else ""


def page() -> str:
    """Write the whole page."""
    parts = [INTRODUCTION]
    for title, states, edges, ended in (
        ("Tasks", TaskState, TASK_EDGES, ENDED_TASK),
        ("Runs", RunState, RUN_EDGES, ENDED_RUN),
    ):
        parts.append(f"## {title}\n\n{diagram(edges, ended)}\n\n{table(edges)}\n{unreached(states, edges)}")
    return "\n".join(parts)


def main(arguments: Sequence[str], path: Path = PAGE) -> int:
    """Draw the page, or with `--check` say whether it is current; gives the exit status."""
    return draw(arguments, path, page(), "docs.draw_states", "millstream.states")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
