import re
from typing import Any, get_type_hints

import pytest

from millstream.protocol.calls import Call, Transition, script_name
from millstream.protocol.every_call import CALLS
from millstream.protocol.keys import Keys
from millstream.protocol.references import Reference, StepRef, TaskRef
from millstream.scripts import loader as scripts

HEADER = "-- EACH KEYS: status record\n-- EACH ARGV: {argv}\n-- REPLIES: done\nlocal function item()\nend\n"
KEYS = Keys(0, 1)
CONTEXT = {
    "runners", "schedulers", "consumer", "retention_ms", "max_backlog",
    "lease_ms", "max_lost", "unknown_ms", "catalog_ms", "oldest", "newest",
}  # fmt: skip


def source(name: str) -> str:
    return scripts.text_of(name)


def body(name: str) -> str:
    """What may answer an item: the script itself, and what decides for a step, without comments."""
    own = source(name)
    deciding = scripts.include_of("step") if " step" in own.split("INCLUDE:")[-1].split("\n")[0] else ""
    return re.sub(r"--.*", "", own + deciding)


def answered(source: str) -> set[str]:
    """The words that stand after a `return`."""
    return {
        word
        for returned in re.findall(r"\breturn\b(.*)", source)
        for word in re.findall(
            r"'([a-z_]{2,})'", re.sub(r"==\s*'\w+'|\w+\([^()]*\)|:match\(.*", "", returned)
        )
    }


def test_every_script_has_its_call_and_every_call_its_script() -> None:
    assert sorted(script_name(kind) for kind in CALLS) == scripts.names()


@pytest.mark.parametrize("kind", CALLS, ids=script_name)
def test_a_script_lies_in_the_folder_that_its_calls_module_names(kind: type[Call]) -> None:
    assert scripts.subjects()[script_name(kind)] == kind.__module__.rpartition(".")[2]


def test_includes_are_no_scripts() -> None:
    assert "step" not in scripts.names()
    assert "include" not in scripts.names()


@pytest.mark.parametrize("kind", CALLS, ids=script_name)
def test_a_call_writes_what_its_header_names_in_its_order(kind: type[Call]) -> None:
    script, item = scripts.load(script_name(kind)), filled(kind)
    keys: list[Any] = []
    argv: list[Any] = []
    scripts.packer(kind).write([item, item], keys, argv)
    scalars = [name for name in script.each_argv if name not in script.lists]
    lists = [
        word for name in script.each_argv if name in script.lists for word in (2, f"{name}1", f"{name}2")
    ]
    assert keys == list(script.each_keys) * 2
    assert argv == [*scalars, *lists] * 2


def filled(kind: type) -> Any:
    """Make a call, or a reference, each of whose words is its own name."""
    values: dict[str, Any] = {}
    for name, hint in get_type_hints(kind).items():
        if isinstance(hint, type) and issubclass(hint, Reference):
            values[name] = filled(hint)
        else:
            values[name] = [f"{name}1", f"{name}2"] if "Sequence" in str(hint) else name
    return kind(**values)


@pytest.mark.parametrize("kind", CALLS, ids=script_name)
def test_a_field_that_the_header_stars_holds_a_list(kind: type[Call]) -> None:
    lists = {name for name, hint in get_type_hints(kind).items() if "Sequence" in str(hint)}
    assert lists == scripts.load(script_name(kind)).lists


@pytest.mark.parametrize("kind", CALLS, ids=script_name)
def test_every_field_of_a_call_is_sent(kind: type[Call]) -> None:
    own = {
        n for n, h in get_type_hints(kind).items() if not (isinstance(h, type) and issubclass(h, Reference))
    }
    assert own <= set(scripts.load(script_name(kind)).fields)


def script_of(argv: str) -> scripts.Script:
    return scripts.parse("x", HEADER.format(argv=argv))


class Nested(Transition):
    """A call with a reference."""

    of: TaskRef
    extra: str


class Twice(Transition):
    """A call in which two references have names in common."""

    of: TaskRef
    at: StepRef


def test_a_name_is_found_in_a_reference_of_a_reference() -> None:
    keys: list[Any] = []
    argv: list[Any] = []
    scripts.packer(Nested, script_of("run_id epoch extra")).write([filled(Nested)], keys, argv)
    assert (keys, argv) == (["status", "record"], ["run_id", "epoch", "extra"])


def test_a_name_that_a_call_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="Nested has no nowhere"):
        scripts.packer(Nested, script_of("nowhere"))


def test_a_name_that_means_two_things_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Twice has two fields life: of\.life and at\.life"):
        scripts.packer(Twice, script_of("life"))


def test_an_include_that_uses_a_name_which_the_items_lack_is_refused() -> None:
    with pytest.raises(ValueError, match="includes attempt, which uses epoch"):
        scripts.parse("x", HEADER.format(argv="entry") + "-- INCLUDE: attempt\n")


def test_a_call_says_what_it_is_about() -> None:
    about = scripts.packer(Nested, script_of("extra")).about(filled(Nested))
    assert about == {"run_id": "run_id", "id": "id", "stream": "stream", "entry": "entry"}


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
    assert script.fields == ("status", "record", "entry", "ids", "rest")
    assert script.lists == {"ids", "rest"}
    assert "local tasks = KEYS[1]\n" in script.source
    assert "local runners, consumer = ARGV[1], ARGV[2]\n" in script.source
    assert "local k, a, items = 1, 2, (#KEYS - 1) / 2\n" in script.source
    assert "local status, record, entry, ids, rest\n" in script.source
    assert "  status, record = KEYS[k + 1], KEYS[k + 2]\n  k = k + 2\n" in script.source
    assert "  entry = ARGV[a + 1]\n  a = a + 1\n  ids = list()\n  rest = list()\n" in script.source


@pytest.mark.parametrize("argv", ["ids* entry", "entry ids* life", "ids* life more*"])
def test_lists_come_last_in_a_header(argv: str) -> None:
    with pytest.raises(ValueError, match="lists come last"):
        scripts.parse("x", HEADER.format(argv=argv))


def test_a_script_is_addressed_by_its_content() -> None:
    one, same, other = (scripts.parse("x", HEADER.format(argv=argv)) for argv in ("entry", "entry", "life"))
    assert one.sha == same.sha != other.sha
    assert len(one.sha) == 40
