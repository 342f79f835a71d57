"""What the tests say at the end of the output, once each."""

_said: dict[str, None] = {}  # as a set that keeps its order


def say(line: str) -> None:
    _said[line] = None


def said() -> list[str]:
    return list(_said)
