# ruff: noqa: INP001 (a folder of documents, not a package)
"""Draw `docs/run_record.md` from `millstream.protocol.record`: `python -m docs.draw_record [--check]`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from docs.drawing import draw
from millstream.protocol.record import FIELDS

PAGE: Final = Path(__file__).with_name("run_record.md")
INTRODUCTION: Final = """\
# The record of a run

<!-- Drawn by `python -m docs.draw_record` from src/millstream/protocol/record.py; change that, then draw again. -->

The hash `run:<run_id>` is the run's record: all that scripts must know of a run and of its tasks besides the statuses,
which have a hash of their own. Its fields are spelled in two places only, `protocol/record.py` for Python and
`scripts/lua/include/record.lua` for the scripts; a test holds that they agree and that no other place spells one.

Tasks and gates are numbered in document order, from 0; gate 0 is the root. So `e2` is the epoch of the third task.

"""
ATTEMPT: Final = """
An attempt is `epoch number started runner ended`, for example `1 1 12 host-5f3a 847`: under epoch 1, the first attempt
began 12 ms after the run was accepted, on the runner `host-5f3a`, and ended at 847 ms. Both times are counted from the
field `created`, and are never below 0: Redis's clock may step back. A hand-back takes back the attempt that it cuts
off: the record then shows the attempts before it, under epoch 0, or is gone.

A task can be acted upon while its epoch is the current one and no attempt of that epoch has ended. Whatever ends a task
apart from its message (an earlier failure, a dead letter) closes the epoch, so that the message gives no right to
anything any more.

What is damaged raises in no script: a number that is none is read as 0 or as absent where the work can go on, and else
the message becomes a dead letter that says what was found.
"""


def _row(name: str, about: str, meaning: str) -> str:
    return f"| `{name}{f'<{about}>' if about else ''}` | {meaning} |"


def page() -> str:
    """Write the whole page."""
    rows = [_row(*field) for field in FIELDS]
    return INTRODUCTION + "\n".join(["| field | meaning |", "|---|---|", *rows]) + "\n" + ATTEMPT


def main(arguments: Sequence[str], path: Path = PAGE) -> int:
    """Draw the page, or with `--check` say whether it is current; gives the exit status."""
    return draw(arguments, path, page(), "docs.draw_record", "millstream.protocol.record")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
