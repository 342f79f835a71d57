"""backup.sh by itself: what it copies, what it refuses, and what it leaves behind."""

import contextlib
import signal
from pathlib import Path

import pytest
import redis

from backup.conftest import StartServer
from backup.house import CONTENTS, EVERYSEC, LARGE, LINKS, REWRITING_LN, Tools, log_name, members, standing
from servers import Server, wait_until

UNABLE = "exit 1"


def settings_of(tools: Tools, server: Server) -> str:
    return tools.cli(server, "CONFIG", "GET", "*")


def start_locked(start: StartServer) -> Server:
    """A Redis that asks for a password once it has been seen to answer."""
    server = start("source")
    with redis.Redis(port=server.port) as client:
        client.config_set("requirepass", "secret")
    return server


def restored(tools: Tools, archive: bytes, start: StartServer, directory: Path) -> Server:
    tools.restore(archive, directory)
    return start(directory.name)


def test_the_copy_of_a_running_redis_holds_what_it_held(
    tools: Tools, source: Server, start: StartServer, tmp_path: Path
) -> None:
    tools.cli(source, "SET", "before", "1")
    tools.cli(source, "BGREWRITEAOF")
    tools.cli(source, "SET", "after", "2")
    server = restored(tools, tools.backup(source), start, tmp_path / "target")
    assert tools.cli(server, "MGET", "before", "after").split() == ["1", "2"]


def test_the_list_of_contents_is_last_and_names_every_file(tools: Tools, source: Server) -> None:
    tools.cli(source, "SET", "a", "1")
    files = members(tools.backup(source))
    *names, last = files
    assert last == CONTENTS
    listed = [line.split() for line in files[CONTENTS].decode().splitlines()]
    assert [(line[2], int(line[1])) for line in listed if line[0] == "file"] == [
        (name, len(files[name])) for name in names
    ]
    assert any(name.endswith(log_name(tools)) for name in names)
    assert ["redis", tools.version] in listed


def test_files_with_other_names_are_found(tools: Tools, start: StartServer, tmp_path: Path) -> None:
    names = ["--appendfilename", "other.aof", *(["--appenddirname", "parts"] if tools.has_parts else [])]
    source = start("source", *EVERYSEC, *names)
    tools.cli(source, "SET", "a", "1")
    tools.restore(tools.backup(source), tmp_path / "target")
    server = start("target", *EVERYSEC, *names)
    assert tools.cli(server, "GET", "a").strip() == "1"


def test_a_rewrite_that_ends_while_the_links_are_made_does_no_harm(
    tools: Tools, source: Server, start: StartServer, tmp_path: Path
) -> None:
    tools.cli(source, "SET", "a", "1")
    tools.put("ln", REWRITING_LN)
    archive = tools.backup(source, PORT=str(source.port))
    assert (tools.directory / "ln.done").exists()
    assert tools.cli(restored(tools, archive, start, tmp_path / "target"), "GET", "a").strip() == "1"


def test_a_file_that_grows_while_it_is_copied_is_no_failure(
    tools: Tools, source: Server, start: StartServer, tmp_path: Path
) -> None:
    tools.cli(source, "SET", "a", "1")
    with standing(tools, source) as running:
        tools.cli(source, "SET", "b", "2")
        archive, said = running.communicate(timeout=30)
    assert running.returncode == 0, said
    assert tools.cli(restored(tools, archive, start, tmp_path / "target"), "GET", "a").strip() == "1"


def test_a_file_that_was_only_just_turned_on_is_waited_for(
    tools: Tools, start: StartServer, tmp_path: Path
) -> None:
    source = start("source", "--appendonly", "no")
    tools.cli(source, "MSET", "a", "1", "b", "1", "c", "1")
    tools.cli(source, "CONFIG", "SET", "rdb-key-save-delay", "300000")
    tools.cli(source, "CONFIG", "SET", "appendonly", "yes")
    server = restored(tools, tools.backup(source), start, tmp_path / "target")
    assert tools.cli(server, "DBSIZE").strip() == "3"


def test_a_file_system_without_hard_links_is_copied(
    tools: Tools, source: Server, start: StartServer, tmp_path: Path
) -> None:
    tools.cli(source, "SET", "a", "1")
    tools.put("ln", UNABLE)
    server = restored(tools, tools.backup(source), start, tmp_path / "target")
    assert tools.cli(server, "GET", "a").strip() == "1"


def test_what_a_rewrite_has_replaced_is_left_out(tools: Tools, start: StartServer, tmp_path: Path) -> None:
    kept = ["--aof-disable-auto-gc", "yes"] if tools.has_parts else []
    source = start("source", *EVERYSEC, *kept)
    tools.cli(source, "SET", "a", "1")
    tools.cli(source, "BGREWRITEAOF")
    wait_until(
        lambda: "aof_rewrite_in_progress:1" not in tools.cli(source, "INFO", "persistence"), "the rewrite"
    )
    archive = tools.backup(source)
    assert len(members(archive)) == (4 if tools.has_parts else 2)
    assert tools.cli(restored(tools, archive, start, tmp_path / "target"), "GET", "a").strip() == "1"


def test_it_refuses_when_there_is_no_append_only_file(tools: Tools, start: StartServer) -> None:
    with pytest.raises(RuntimeError, match="appendonly is off"):
        tools.backup(start("source", "--appendonly", "no"))


def test_it_refuses_a_file_that_lacks_what_a_rewrite_could_not_write(tools: Tools, source: Server) -> None:
    tools.put("redis-cli", '"$TOOL" "$@" | sed s/aof_last_bgrewrite_status:ok/aof_last_bgrewrite_status:err/')
    with pytest.raises(RuntimeError, match="aof_last_bgrewrite_status is 'err'"):
        tools.backup(source)


@pytest.mark.parametrize("password", ["", "wrong"])
def test_it_refuses_without_the_right_password(tools: Tools, start: StartServer, password: str) -> None:
    server = start_locked(start)
    with pytest.raises(RuntimeError, match=r"NOAUTH|Redis does not answer"):
        tools.backup(server, REDISCLI_AUTH=password)


def test_the_password_comes_from_the_environment(tools: Tools, start: StartServer) -> None:
    assert CONTENTS in members(tools.backup(start_locked(start), REDISCLI_AUTH="secret"))


def test_it_refuses_when_redis_does_not_answer(tools: Tools, source: Server) -> None:
    source.stop()
    with pytest.raises(RuntimeError, match="Redis does not answer"):
        tools.backup(source)


def test_it_refuses_while_another_backup_runs(tools: Tools, source: Server) -> None:
    with standing(tools, source), pytest.raises(RuntimeError, match="another backup"):
        tools.backup(source)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_interrupted_backup_leaves_nothing_behind(
    tools: Tools, source: Server, number: signal.Signals
) -> None:
    before = settings_of(tools, source)
    with standing(tools, source) as running:
        assert (source.directory / LINKS).exists()
        running.send_signal(number)
        assert running.wait(30) == 128 + number
        assert not (source.directory / LINKS).exists()
        assert running.stdout
        assert len(running.stdout.read()) < LARGE / 2  # what was in the pipe: tar has ended, too
    assert settings_of(tools, source) == before
    assert CONTENTS in members(tools.backup(source))


def test_a_killed_backup_changes_no_setting_and_the_next_one_clears_up(tools: Tools, source: Server) -> None:
    before = settings_of(tools, source)
    with standing(tools, source) as running:
        running.kill()
    assert settings_of(tools, source) == before

    def another_works() -> bool:  # as soon as the tar that was left alone has noticed that nobody reads it
        with contextlib.suppress(RuntimeError):
            return CONTENTS in members(tools.backup(source))
        return False

    wait_until(another_works, "a backup to work again")
    assert not (source.directory / LINKS).exists()


def test_an_archive_that_cannot_be_written_is_no_success(tools: Tools, source: Server) -> None:
    tools.put("tar", 'case $1 in --version) exec "$TOOL" "$@" ;; esac; "$TOOL" "$@" | head -c 2000; exit 2')
    with pytest.raises(RuntimeError, match="tar ended with 2"):
        tools.backup(source)
