from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import sayings
from crash.house import Room


@pytest.fixture
def say() -> Callable[[str], None]:
    """Say a figure at the end of the session's output."""
    return sayings.say


@pytest.fixture
def make_room(tmp_path: Path) -> Iterator[Callable[..., Room]]:
    """Open a room: options of its Redis, settings of its fleet."""
    rooms: list[Room] = []

    def open_room(*options: str, **settings: object) -> Room:
        rooms.append(Room(tmp_path / f"room-{len(rooms)}", options, settings))
        return rooms[-1]

    yield open_room
    for room in rooms:
        room.close()


@pytest.fixture
def room(make_room: Callable[..., Room]) -> Room:
    return make_room()
