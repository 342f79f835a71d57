"""What a call of a script is: a record of its arguments, named as the script's header names them.

A class's snake-case name is its script's: `StartTask` is `scripts/lua/task/start_task.lua`. A name in the header is a
field of the class, or of a reference among its fields. Calls are made by keyword.
"""

import re

import msgspec

_WORD = re.compile(r"(?<!^)(?=[A-Z])")


class Call(msgspec.Struct, kw_only=True, gc=False):
    """A call of a script."""


class Transition(Call):
    """A call that may change something; it is answered with a word of the header's `REPLIES`."""


class Reading(Call):
    """A call that changes nothing; it is answered with data that were true at one instant."""


def script_name(kind: type[Call]) -> str:
    """Name the script of a call: `StartTask` gives `start_task`."""
    return _WORD.sub("_", kind.__name__).lower()
