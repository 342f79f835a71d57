import re

import pytest

from millstream.protocol.keys import Keys
from millstream.protocol.transitions import TRANSITIONS, Transition, script_name
from millstream.scripts import loader as scripts

HEADER = "-- EACH KEYS: status run\n-- EACH ARGV: {argv}\n-- REPLIES: done\nlocal function item()\nend\n"
KEYS = Keys(0, 1)
CONTEXT = {
    "runners", "schedulers", "consumer", "retention_ms", "max_backlog",
    "lease_ms", "max_lost", "unknown_ms", "catalog_ms", "oldest", "newest",
}  # fmt: skip


def source(name: str) -> str:
    return scripts.text_of(name)


def body(name: str) -> str:
    """What a transition does, its includes among it, without comments."""
    return re.sub(r"--.*", "", scripts.load(name).source)


def answered(source: str) -> set[str]:
    """The words that stand after a `return`."""
    return {
        word
        for returned in re.findall(r"\breturn\b(.*)", source)
        for word in re.findall(
            r"'([a-z_]{2,})'", re.sub(r"==\s*'\w+'|\w+\([^()]*\)|:match\(.*", "", returned)
        )
    }


def test_every_script_has_its_record_and_every_record_its_script() -> None:
    assert sorted(script_name(transition) for transition in TRANSITIONS) == scripts.names()


def test_includes_are_no_transitions() -> None:
    assert "licence" not in scripts.names()
    assert "include" not in scripts.names()


@pytest.mark.parametrize("transition", TRANSITIONS, ids=script_name)
def test_a_record_has_the_fields_of_the_header_in_its_order(transition: type[Transition]) -> None:
    assert transition._fields == scripts.load(script_name(transition)).fields


@pytest.mark.parametrize("transition", TRANSITIONS, ids=script_name)
def test_a_field_that_the_header_stars_holds_a_list(transition: type[Transition]) -> None:
    hints = transition.__annotations__
    lists = {name for name, hint in hints.items() if "Sequence" in str(hint)}
    assert lists == scripts.load(script_name(transition)).lists


@pytest.mark.parametrize("name", scripts.names())
def test_the_keys_and_arguments_of_a_call_are_known(name: str) -> None:
    script = scripts.load(name)
    assert all(hasattr(KEYS, key) for key in script.keys)
    assert set(script.argv) <= CONTEXT


@pytest.mark.parametrize("name", scripts.names())
def test_every_reply_in_the_source_stands_in_the_header_and_the_other_way_round(name: str) -> None:
    script = scripts.load(name)
    assert answered(body(name)) == {word for word in script.replies if not word.startswith("<")}


@pytest.mark.parametrize("name", scripts.names())
def test_a_script_reads_the_clock_only_through_its_include(name: str) -> None:
    without = scripts.parse(name, source(name), {"time": "local now, now_text = 0, '0'\n"})
    assert "'TIME'" not in without.source


@pytest.mark.parametrize("name", scripts.names())
def test_a_script_never_searches_the_keyspace(name: str) -> None:
    assert not re.search(r"'(SCAN|KEYS|FLUSHDB|FLUSHALL)'", scripts.load(name).source)


@pytest.mark.parametrize("name", scripts.names())
def test_a_script_stays_short(name: str) -> None:
    assert len(source(name).splitlines()) <= 100


def test_the_header_binds_the_names_of_a_call_and_of_an_item() -> None:
    script = scripts.parse(
        "x", "-- KEYS: tasks\n-- ARGV: runners consumer\n" + HEADER.format(argv="entry ids* rest*")
    )
    assert script.keys == ("tasks",)
    assert script.argv == ("runners", "consumer")
    assert script.fields == ("status", "run", "entry", "ids", "rest")
    assert script.lists == {"ids", "rest"}
    assert "local tasks = KEYS[1]\n" in script.source
    assert "local runners, consumer = ARGV[1], ARGV[2]\n" in script.source
    assert "local k, a = 1, 2\n" in script.source
    assert "local status, run = KEYS[k + 1], KEYS[k + 2]\nk = k + 2\n" in script.source
    assert "local entry = ARGV[a + 1]\na = a + 1\nlocal ids = list()\nlocal rest = list()\n" in script.source


@pytest.mark.parametrize("argv", ["ids* entry", "entry ids* life", "ids* life more*"])
def test_lists_come_last_in_a_header(argv: str) -> None:
    with pytest.raises(ValueError, match="lists come last"):
        scripts.parse("x", HEADER.format(argv=argv))


def test_a_script_is_addressed_by_its_content() -> None:
    one, same, other = (scripts.parse("x", HEADER.format(argv=argv)) for argv in ("entry", "entry", "life"))
    assert one.sha == same.sha != other.sha
    assert len(one.sha) == 40
