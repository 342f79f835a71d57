"""Every error that Millstream raises on purpose: one small tree, each sentence says what to do."""


class MillstreamError(Exception):
    """The root of the tree."""


class ConfigurationError(MillstreamError):
    """The process cannot start as it is set up; the message names what to change."""


class InvalidDefinitionError(MillstreamError):
    """A workflow definition that cannot be run.

    `location` is the path to the offending part, as FastAPI writes it in a 422.
    """

    def __init__(self, message: str, location: tuple[str | int, ...]) -> None:
        super().__init__(message)
        self.location = location


class UnreadableMessageError(MillstreamError):
    """A stream entry that this version cannot understand."""


class NewerMessageError(UnreadableMessageError):
    """A stream entry that a newer version wrote; a process of that version will read it."""


class RedisUnavailableError(MillstreamError):
    """Redis cannot be reached, or cannot take writes now; the same call may be sent again."""


class DamagedDataError(MillstreamError):
    """What Redis holds is not what it should be (a key of another type?); the message says what was found."""


class InvalidTaskError(MillstreamError):
    """A function that cannot serve as a task; the message says why."""


class NameLostError(MillstreamError):
    """A process was declared dead: what it holds is others' now, and it has to take another name."""
