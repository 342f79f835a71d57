"""Load the Lua scripts. A file's header is its contract, and this loader reads it.

    -- KEYS: tasks reports          names of keys that a call has once: attributes of `Keys`
    -- ARGV: runners consumer       names of arguments that a call has once: what a process says of itself
    -- EACH KEYS: status record     keys of each item of the batch
    -- EACH ARGV: entry ids*        arguments of each item; a star marks a list
    -- REPLIES: recorded stale      the words an item may be answered with; <word> stands for any number, <data> for data
    -- INCLUDE: time acknowledge    files of include/ to put in front of the body, after those that they need

All names become Lua locals of the file: those of a call have their values from the top, those of an item from the first
lines of `local function item()`, so that includes use them by name; `items` is how many there are. An include says with `-- USES:` which names of an
item it needs. `each(item)` runs the batch and gives one reply an item; one that raises is answered `broken` and the
reason (`include/broken.lua`).

A name of an item is a field of the call's class, or of a reference among its fields (`protocol.references`).
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from operator import attrgetter
from typing import Any, Final, get_type_hints

from millstream.protocol.calls import Call, script_name
from millstream.protocol.references import Reference

INCLUDES: Final = "include"  # the folder of what scripts share
ALWAYS: Final = "broken"  # the include that every script has
BROKEN: Final = "broken"  # how the reply to an item begins that raised
FOLDER: Final = files(__package__) / "lua"
BATCH: Final = (
    100  # items a call: a script's work is bounded (docs/architecture.md, "Batches and connections")
)
_HEADER = re.compile(r"^-- (KEYS|ARGV|EACH KEYS|EACH ARGV|REPLIES|INCLUDE):(.*)$", re.MULTILINE)
_USES = re.compile(r"^-- USES:(.*)$", re.MULTILINE)
_NAMING: Final = ("run_id", "id", "stream", "entry", "timer", "name", "catalog")  # what an item is about
_ITEM: Final = "local function item()"
_LISTS: Final = """\
local function list()
  local values, n = {}, tonumber(ARGV[a + 1])
  for i = 1, n do values[i] = ARGV[a + 1 + i] end
  a = a + 1 + n
  return values
end
"""
_EACH: Final = """\
local function each(item)
  local replies = {}
  while k < #KEYS do
    local done, reply = pcall(item)
    if not done then reply = broken(reply) end
    replies[#replies + 1] = reply
  end
  return replies
end
"""


@dataclass(frozen=True, slots=True)
class Script:
    """A script: its contract as the header states it, and the source that Redis is given."""

    name: str
    keys: tuple[str, ...]
    argv: tuple[str, ...]
    each_keys: tuple[str, ...]
    each_argv: tuple[str, ...]
    lists: frozenset[str]
    replies: tuple[str, ...]
    source: str = field(repr=False)
    sha: str

    @property
    def fields(self) -> tuple[str, ...]:
        """Name an item's fields in the order in which they are sent."""
        return self.each_keys + self.each_argv


def _bind(names: Sequence[str], table: str, base: str) -> str:
    """Lua that gives names the consecutive elements of a table from an offset on."""
    if not names:
        return ""
    values = ", ".join(f"{table}[{base}{n}]" for n in range(1, len(names) + 1))
    return f"{', '.join(names)} = {values}"


def _item_binding(keys: Sequence[str], argv: Sequence[str], lists: frozenset[str]) -> str:
    scalars = [name for name in argv if name not in lists]
    lines = [_bind(keys, "KEYS", "k + "), f"k = k + {len(keys)}"]
    if scalars:
        lines += [_bind(scalars, "ARGV", "a + "), f"a = a + {len(scalars)}"]
    lines += [f"{name} = list()" for name in argv if name in lists]
    return "\n  ".join(lines)


@cache
def subjects() -> dict[str, str]:
    """Name the folder of each script, by the script's name."""
    return {
        entry.name.removesuffix(".lua"): folder.name
        for folder in FOLDER.iterdir()
        if folder.is_dir() and folder.name != INCLUDES
        for entry in folder.iterdir()
        if entry.name.endswith(".lua")
    }


def names() -> list[str]:
    """Name all scripts."""
    return sorted(subjects())


def text_of(name: str) -> str:
    """Give the text of a script as it stands."""
    return (FOLDER / subjects()[name] / f"{name}.lua").read_text()


def include_of(name: str) -> str:
    """Give the text of an include as it stands."""
    return (FOLDER / INCLUDES / f"{name}.lua").read_text()


def _included(name: str, wanted: Sequence[str], known: set[str], instead: dict[str, str]) -> str:
    """Give the text of includes. Raises ValueError when one uses a name that the script's items do not have."""
    found = []
    for word in (ALWAYS, *wanted):
        text = instead.get(word) or include_of(word)
        used = {used for line in _USES.findall(text) for used in line.split()}
        if missing := used - known:
            raise ValueError(f"{name}.lua includes {word}, which uses {', '.join(sorted(missing))}")
        found.append(text)
    return "".join(found)


def parse(name: str, text: str, include: dict[str, str] | None = None) -> Script:
    """Read a script's header and build its source. `include` replaces included files by name, for tests.

    Raises ValueError when the header is not one.
    """
    header = {word: tuple(rest.split()) for word, rest in _HEADER.findall(text)}
    keys, argv = header.get("KEYS", ()), header.get("ARGV", ())
    each_keys, starred = header["EACH KEYS"], header["EACH ARGV"]
    each_argv = tuple(word.rstrip("*") for word in starred)
    lists = frozenset(word.rstrip("*") for word in starred if word.endswith("*"))
    if any(word.endswith("*") for word in starred[: len(starred) - len(lists)]):
        raise ValueError(f"{name}.lua: lists come last in EACH ARGV")
    included = _included(name, header.get("INCLUDE", ()), {*each_keys, *each_argv}, include or {})
    once = [f"local {binding}" for binding in (_bind(keys, "KEYS", ""), _bind(argv, "ARGV", "")) if binding]
    at = f"local k, a, items = {len(keys)}, {len(argv)}, (#KEYS - {len(keys)}) / {len(each_keys)}"
    top = [*once, at, f"local {', '.join(each_keys + each_argv)}", ""]
    body = text.replace(_ITEM, f"{_ITEM}\n  {_item_binding(each_keys, each_argv, lists)}", 1)
    source = "".join(["\n".join(top), _LISTS if lists else "", included, _EACH, body])
    sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    return Script(name, keys, argv, each_keys, each_argv, lists, header["REPLIES"], source, sha)


@cache
def load(name: str) -> Script:
    """Load a script by its name, the name of its file."""
    return parse(name, text_of(name))


def _paths(kind: type, before: str = "") -> Iterator[tuple[str, str]]:
    """Every name of a call with the path of attributes that leads to it; what stands nearest comes first."""
    hints = get_type_hints(kind)
    inner = [name for name, hint in hints.items() if isinstance(hint, type) and issubclass(hint, Reference)]
    yield from ((name, before + name) for name in hints if name not in inner)
    for name in inner:
        yield from _paths(hints[name], f"{before}{name}.")


def _writer(script: Script, paths: dict[str, str]) -> Callable[[Sequence[Call], list[Any], list[Any]], None]:
    """Compile what appends the keys and arguments of items, each reference looked up once an item.

    Generated, because this is done for every item: three times as fast as looking each path up by itself.
    """
    wanted = [paths[name] for name in script.fields]
    lines = ["def write(items, keys, argv):", "  for item in items:"]
    for path in dict.fromkeys(step for name in wanted for step in _steps(name)):
        inner, _, last = path.rpartition(".")
        lines.append(f"    {_local(path)} = {_local(inner)}.{last}")
    for target, names in (("keys", script.each_keys), ("argv", script.each_argv)):
        values = [_local(paths[name]) for name in names if name not in script.lists]
        if values:
            lines.append(f"    {target} += ({', '.join(values)},)")
    for name in script.each_argv:
        if name in script.lists:
            lines += [f"    argv.append(len({_local(paths[name])}))", f"    argv += {_local(paths[name])}"]
    scope: dict[str, Any] = {}
    exec("\n".join(lines), scope)  # noqa: S102 (made of attribute names of our own classes)
    return scope["write"]  # type: ignore[no-any-return]


def _steps(path: str) -> list[str]:
    """Name every step of a path: `of.run.record` gives `of`, `of.run` and itself."""
    words = path.split(".")
    return [".".join(words[: n + 1]) for n in range(len(words))]


def _local(path: str) -> str:
    """Name the variable that holds what a path leads to."""
    return f"item_{path.replace('.', '_')}" if path else "item"


class Packer:
    """Writes the keys and arguments of calls of one kind, as the script's header orders them."""

    def __init__(self, kind: type[Call], script: Script) -> None:
        """Raise ValueError when the call lacks a name of the header, or names two things alike."""
        known: dict[str, str] = {}
        for name, path in _paths(kind):
            if known.setdefault(name, path) != path and name in script.fields:
                raise ValueError(f"{kind.__name__} has two fields {name}: {known[name]} and {path}")
        if missing := set(script.fields) - known.keys():
            raise ValueError(f"{kind.__name__} has no {', '.join(sorted(missing))}")
        self._about = {name: attrgetter(known[name]) for name in _NAMING if name in known}
        self.write = _writer(script, known)

    def about(self, item: Call) -> dict[str, str]:
        """Give what names an item to people: its run, its task, its entry."""
        return {name: str(get(item)) for name, get in self._about.items()}


def packer(kind: type[Call], script: Script | None = None) -> Packer:
    """Make the packer of a kind of calls."""
    return Packer(kind, script or load(script_name(kind)))
