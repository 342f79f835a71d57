"""A submission's body: read within its limit, validated, and remembered."""

from collections import OrderedDict
from typing import Any, Final

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.types import Receive

from millstream.errors import InvalidDefinitionError
from millstream.workflow.submission import Submission, parse

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
MAX_PROBLEMS: Final = 20  # a 422 tells so many, each with so much of what was sent
MAX_ECHO: Final = 200
REMEMBERED: Final = 1000  # bodies
REMEMBERED_BYTES: Final = 16 * 1024 * 1024  # of all of them, with what was made of them
LARGEST_REMEMBERED: Final = 64 * 1024  # so that none puts many others out
BYTES_A_NAME: Final = 80  # of a short string and its place in a tuple


class Submissions:
    """Makes submissions of bodies, and remembers them: clients post the same few definitions again and again."""

    def __init__(self, max_tasks: int) -> None:
        self._max_tasks = max_tasks
        # What was used last comes last. A dict looks for its first item among all that were taken out before.
        self._known: OrderedDict[bytes, Submission] = OrderedDict()
        self._bytes = 0

    def of(self, body: bytes) -> Submission:
        """Give what a body asks for. Raises RequestValidationError, FastAPI's 422."""
        found = self._known.get(body)
        if found is None:
            found = submission_of(body, self._max_tasks)
            self._remember(body, found)
        else:
            self._known.move_to_end(body)
        return found

    def _remember(self, body: bytes, submission: Submission) -> None:
        size = _size(body, submission)
        if size > LARGEST_REMEMBERED:
            return
        self._known[body] = submission
        self._bytes += size
        while len(self._known) > REMEMBERED or self._bytes > REMEMBERED_BYTES:
            self._bytes -= _size(*self._known.popitem(last=False))


def _size(body: bytes, submission: Submission) -> int:
    words = len(submission.names) + len(submission.ids)
    return len(body) + len(submission.text) + words * BYTES_A_NAME


async def read_body(receive: Receive) -> bytes:
    """Read a request's body, refusing one that is too large before it is kept."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise HTTPException(400, "The request ended before its body did")
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"The body is larger than {MAX_BODY_BYTES} bytes")
        if not message.get("more_body"):
            return bytes(body)


def submission_of(body: bytes, max_tasks: int) -> Submission:
    """Validate a body. Raises RequestValidationError, FastAPI's 422."""
    try:
        return parse(body, max_tasks)
    except ValidationError as error:
        raise RequestValidationError(
            [_problem(problem) for problem in error.errors(include_url=False)[:MAX_PROBLEMS]]
        ) from None
    except InvalidDefinitionError as error:
        problem = {"type": "value_error", "loc": ("body", *error.location), "msg": str(error), "input": None}
        raise RequestValidationError([problem]) from None


def _problem(found: ErrorDetails) -> dict[str, Any]:
    """Write a problem as FastAPI does; JSON that cannot be read is not sent back."""
    problem = {**found, "loc": ("body", *found["loc"])}
    if found["type"] == "json_invalid":
        problem |= {"msg": "JSON decode error", "input": {}}
    elif not isinstance(found["input"], int | None):
        problem["input"] = str(found["input"])[
            :MAX_ECHO
        ]  # as text: what JSON lacks, NaN, would break the answer
    return problem
