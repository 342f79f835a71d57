"""A task's specification: one record from the definition to the message that a runner reads.

The types of numbers tell what a type checker cannot see in an int: a task's number is no gate's.
"""

from typing import NewType

import msgspec

TaskNumber = NewType("TaskNumber", int)  # in document order, from 0
GateNumber = NewType("GateNumber", int)  # in document order; 0 is the root
Position = NewType("Position", int)  # of a child within its gate, from 0; -1: before the first


class TaskSpec(
    msgspec.Struct, rename={"number": "n"}, omit_defaults=True, frozen=True, kw_only=True, gc=False
):
    """What the definition says of a task. What has its default takes no room when it is packed.

    `number` is the task's place in document order, from 0; `id` is what the status map shows; `name` is the function's,
    as runners offer it.
    """

    number: TaskNumber
    id: str
    name: str
