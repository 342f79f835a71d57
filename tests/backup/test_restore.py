"""restore.sh by itself: what it mends, and what it refuses."""

from pathlib import Path

import pytest

from backup.conftest import StartServer
from backup.house import CONTENTS, Tools, changed, cut_off, log_name, members, packed, resp
from servers import Server

SCRIPT = "redis.call('SET', KEYS[1], 1) redis.call('SET', KEYS[2], 1)"
TORN = resp("MULTI") + resp("SET", "half", "1") + resp("SET", "other-half", "1")[:-9]


@pytest.fixture
def archive(tools: Tools, source: Server) -> bytes:
    """An archive with one script's transaction in its log."""
    tools.cli(source, "EVAL", SCRIPT, "2", "one", "two")
    return tools.backup(source)


def refused(tools: Tools, archive: bytes, directory: Path) -> str:
    """Give why it was refused; the directory is as empty as it was."""
    with pytest.raises(RuntimeError) as caught:
        tools.restore(archive, directory)
    assert "nothing was restored" in str(caught.value)
    assert not [*directory.iterdir()]
    return str(caught.value)


@pytest.mark.parametrize("kept", range(1, len(TORN) + 1, 11))
def test_of_a_script_that_was_torn_nothing_is_executed_at_any_start(
    tools: Tools, archive: bytes, start: StartServer, tmp_path: Path, kept: int
) -> None:
    torn = changed(archive, log_name(tools), lambda log: log + TORN[:kept])
    assert cut_off(tools.restore(torn, tmp_path / "target")) == kept
    server = start("target")
    for number in range(2):
        tools.cli(server, "EVAL", SCRIPT, "2", f"a{number}", f"b{number}")
        server.stop()
        server.start()
    assert sorted(tools.cli(server, "KEYS", "*").split()) == ["a0", "a1", "b0", "b1", "one", "two"]


def test_an_end_that_is_whole_is_left_alone(tools: Tools, archive: bytes, tmp_path: Path) -> None:
    more = resp("MULTI") + resp("SET", "three", "1") + resp("EXEC")
    grown = changed(archive, log_name(tools), lambda log: log + more)
    assert cut_off(tools.restore(grown, tmp_path / "target")) == 0
    (log,) = (tmp_path / "target").rglob(f"*{log_name(tools)}")
    assert log.read_bytes().endswith(more)


def test_a_file_that_lost_what_it_had_at_first_is_refused(
    tools: Tools, archive: bytes, tmp_path: Path
) -> None:
    torn = changed(archive, log_name(tools), lambda log: log[:-9])
    assert "the archive is damaged" in refused(tools, torn, tmp_path / "target")


def test_a_fault_in_the_middle_is_not_mended_by_dropping_the_rest(
    tools: Tools, archive: bytes, tmp_path: Path
) -> None:
    spoilt = changed(archive, log_name(tools), lambda log: log.replace(b"MULTI", b"MULT\0\0", 1) + b"*1\r\n")
    assert "a fault in the middle" in refused(tools, spoilt, tmp_path / "target")


def test_an_archive_that_was_cut_is_refused_wherever_it_was_cut(
    tools: Tools, archive: bytes, tmp_path: Path
) -> None:
    end = len(packed(members(archive)).rstrip(b"\0"))
    for length in [0, *range(512, end, 512), end - 1]:
        refused(tools, archive[:length], tmp_path / "target")


def test_something_else_is_refused(tools: Tools, tmp_path: Path) -> None:
    refused(tools, b"nothing of the kind" * 1000, tmp_path / "target")
    refused(tools, packed({"appendonly.aof": resp("SET", "a", "1")}), tmp_path / "target")


def test_a_directory_with_data_is_refused_and_left_alone(
    tools: Tools, archive: bytes, tmp_path: Path
) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "dump.rdb").write_bytes(b"precious")
    with pytest.raises(RuntimeError, match=r"is not empty: dump\.rdb"):
        tools.restore(archive, tmp_path / "target")
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["dump.rdb"]
    assert (tmp_path / "target" / "dump.rdb").read_bytes() == b"precious"


def test_an_empty_volume_of_its_own_is_empty(
    tools: Tools, archive: bytes, start: StartServer, tmp_path: Path
) -> None:
    (tmp_path / "target" / "lost+found").mkdir(parents=True)
    tools.restore(archive, tmp_path / "target")
    assert tools.cli(start("target"), "GET", "one").strip() == "1"


def test_data_of_a_newer_redis_is_refused(tools: Tools, archive: bytes, tmp_path: Path) -> None:
    version = f"redis {tools.version}\n".encode()
    newer = changed(archive, CONTENTS, lambda text: text.replace(version, b"redis 99.1.0\n"))
    assert "too old" in refused(tools, newer, tmp_path / "target")
