"""The record of a run has one owner: a module for Python, an include for the scripts, and both say the same."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs.draw_record import main
from millstream.protocol import record
from millstream.protocol.record import FIELDS, ODD, Attempt, RunRecord
from millstream.scripts import loader

ROOT = Path(__file__).parents[2]
OWNERS = {"src/millstream/protocol/record.py", "docs/draw_record.py", "tests/unit/test_record.py"}
# They plant or look at the hash as Redis has it, to see that what the owner says is what is there.
LOOKING_ON = {
    "tests/doctor",
    "tests/store",
    "tests/model/test_replay.py",
    "tests/containers",
    "tests/crash",
    "tests/backup",
}
NUMBERED: dict[str, Callable[[int], str]] = {
    "e": record.epoch_of, "a": record.attempt_of, "l": record.lost_of, "u": record.unknown_of,
    "g": record.left_in, "f": record.failed_in,
}  # fmt: skip
LETTERS = re.compile(r"[eaugflp]")


def spelled(source: str) -> Iterator[str]:
    """Every f-string that is one letter and a value, and every name of a field that is looked up by itself."""
    whole = {field.name for field in FIELDS if not field.about} - {"state", "v", "held"}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr) and len(node.values) == 2:
            first, second = node.values
            if (
                isinstance(first, ast.Constant)
                and LETTERS.fullmatch(str(first.value))
                and isinstance(second, ast.FormattedValue)
            ):
                yield ast.unparse(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            asked = node.args[-1 if node.func.attr == "hget" else 0]
            if (
                node.func.attr in {"get", "hget"}
                and isinstance(asked, ast.Constant)
                and (asked.value.decode() if isinstance(asked.value, bytes) else asked.value) in whole
            ):
                yield ast.unparse(node)


def test_the_rule_finds_the_ways_in_which_fields_were_spelled() -> None:
    old = [
        'number(kept.run, f"e{task.index}", 1)', 'run.get(f"a{n}")', 'kept.run.get(b"life", b"1")',
        'real.get("created")', 'name = f"g{gate.index}"', 'client.hget(key, "life")',
    ]  # fmt: skip
    assert all(list(spelled(source)) for source in old)
    assert not list(spelled('f"e{a}{b}"; f"{x}e"; d.get("label"); f"te{n}"'))


def test_no_other_place_spells_a_field_of_the_record() -> None:
    found = {}
    for folder in ("src", "tests", "bench", "docs"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if name in OWNERS or any(name.startswith(place) for place in LOOKING_ON):
                continue
            if places := list(spelled(path.read_text())):
                found[name] = places
    assert found == {}


def test_no_script_but_the_include_spells_a_field_of_the_record() -> None:
    words = "|".join(sorted({field.name for field in FIELDS if not field.about} - {"v"}))
    spelling = re.compile(rf"'[eaugflp]' \.\.|redis\.call\('H\w+', record,[^)]*'(?:{words})'")
    assert spelling.search("redis.call('HGET', record, 'life')")
    assert spelling.search("redis.call('HGET', record, 'e' .. task)")
    found = {name: spelling.findall(re.sub(r"--.*", "", loader.text_of(name))) for name in loader.names()}
    assert not {name: places for name, places in found.items() if places}


def test_the_include_names_the_fields_as_the_module_does() -> None:
    text = loader.include_of("record")
    numbered = dict(re.findall(r"local function (\w+)\(\w+\) return '(\w)' \.\. \w+ end", text))
    of = {field.name for field in FIELDS if field.about}
    assert set(numbered.values()) == of
    for name, letter in numbered.items():
        assert getattr(record, name)(7) == f"{letter}7"
    constants: dict[str, str] = {}
    for names, values in re.findall(r"^local ([A-Z, ]+) = (.+)$", text, re.MULTILINE):
        constants |= dict(zip(names.split(", "), re.findall(r"'(\w+)'", values), strict=True))
    assert constants == {name: getattr(record, name) for name in constants}
    assert set(constants.values()) == {field.name for field in FIELDS if not field.about}


def test_the_page_about_the_record_is_drawn_from_the_module() -> None:
    assert main(["--check"]) == 0


@pytest.mark.parametrize("letter", NUMBERED)
def test_a_numbered_field_begins_with_its_letter(letter: str) -> None:
    assert NUMBERED[letter](12) == f"{letter}12"


@given(st.dictionaries(st.binary(max_size=6), st.binary(max_size=20)))
def test_nothing_in_a_record_makes_reading_it_raise(fields: dict[bytes, bytes]) -> None:
    names = [b"v", b"life", b"created", b"ended", b"e0", b"a0", b"l0", b"g0", b"p0.0"]
    read = RunRecord(fields | dict(zip(names, fields.values(), strict=False)))
    assert isinstance(read.state, str)
    assert all(
        isinstance(n, int) for n in (read.version, read.life, read.created, read.epoch(0), read.lost(0))
    )
    assert read.ended is None or isinstance(read.ended, int)
    assert read.left(0) is None or isinstance(read.left(0), int)
    assert read.attempt(0) is None or isinstance(read.attempt(0), Attempt)
    assert all(isinstance(step, int) for step in read.progress().values())


@given(st.integers(1, 99), st.integers(1, 99), st.integers(0, 10**9), st.none() | st.integers(0, 10**9))
def test_an_attempt_reads_as_scripts_write_it(
    epoch: int, number: int, started: int, ended: int | None
) -> None:
    text = f"{epoch} {number} {started} host-1" + ("" if ended is None else f" {ended}")
    assert Attempt.parse(text) == Attempt(epoch, number, started, "host-1", ended)


@pytest.mark.parametrize("text", [None, "", "1", "1 2 3", "1 2 3 r 5 6", "1 2  r"])
def test_what_is_no_attempt_is_none(text: str | None) -> None:
    assert Attempt.parse(text) is None or Attempt.parse(text) == Attempt(1, 2, ODD, "r", None)
