"""Load the Lua transitions. A file's header is its contract, and this loader reads it.

    -- KEYS: tasks reports          names of keys that a call has once: attributes of `Keys`
    -- ARGV: runners consumer       names of arguments that a call has once: fields of `Context`
    -- EACH KEYS: status run        keys of each item of the batch
    -- EACH ARGV: entry ids*        arguments of each item; a star marks a list
    -- REPLIES: recorded stale      the words an item may be answered with; <word> stands for any number
    -- INCLUDE: time acknowledge    files of include/ to put in front of the body

The names become Lua locals: those of the call at the top, those of an item as the first lines of
`local function item()`. `each(item)` runs the batch and gives one reply an item.
"""

import hashlib
import re
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Final

INCLUDES: Final = "include"  # the folder of what scripts share
BATCH: Final = 100  # items a call: a script's work is bounded (design, section 5)
_HEADER = re.compile(r"^-- (KEYS|ARGV|EACH KEYS|EACH ARGV|REPLIES|INCLUDE):(.*)$", re.MULTILINE)
_ITEM = "local function item()\n"
_PRELUDE = """\
local k, a = {keys}, {argv}
local function list()
  local values, n = {{}}, tonumber(ARGV[a + 1])
  for i = 1, n do values[i] = ARGV[a + 1 + i] end
  a = a + 1 + n
  return values
end
local function each(item)
  local replies = {{}}
  while k < #KEYS do replies[#replies + 1] = item() end
  return replies
end
"""


@dataclass(frozen=True, slots=True)
class Script:
    """One transition: its contract as the header states it, and the source that Redis is given."""

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


def _bind(names: tuple[str, ...], table: str, base: str) -> str:
    """Lua that binds names to consecutive elements of a table from an offset on."""
    if not names:
        return ""
    values = ", ".join(f"{table}[{base}{n}]" for n in range(1, len(names) + 1))
    return f"local {', '.join(names)} = {values}\n"


def _item_locals(keys: tuple[str, ...], argv: tuple[str, ...], lists: frozenset[str]) -> str:
    scalars = tuple(name for name in argv if name not in lists)
    lines = [_bind(keys, "KEYS", "k + "), f"k = k + {len(keys)}\n", _bind(scalars, "ARGV", "a + ")]
    lines.append(f"a = a + {len(scalars)}\n")
    lines += [f"local {name} = list()\n" for name in argv if name in lists]
    return "".join(lines)


FOLDER: Final = files(__package__) / "lua"


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


def text_of(name: str) -> str:
    """Give the text of a script as it stands."""
    return (FOLDER / subjects()[name] / f"{name}.lua").read_text()


def include_of(name: str) -> str:
    """Give the text of an include as it stands."""
    return (FOLDER / INCLUDES / f"{name}.lua").read_text()


def parse(name: str, text: str, include: dict[str, str] | None = None) -> Script:
    """Read a transition's header and build its source. `include` replaces included files by name, for tests."""
    header = {word: tuple(rest.split()) for word, rest in _HEADER.findall(text)}
    keys, argv = header.get("KEYS", ()), header.get("ARGV", ())
    each_keys, starred = header["EACH KEYS"], header["EACH ARGV"]
    each_argv = tuple(word.rstrip("*") for word in starred)
    lists = frozenset(word.rstrip("*") for word in starred if word.endswith("*"))
    if any(word.endswith("*") for word in starred[: len(starred) - len(lists)]):
        raise ValueError(f"{name}.lua: lists come last in EACH ARGV")
    included = [(include or {}).get(word) or include_of(word) for word in header.get("INCLUDE", ())]
    body = text.replace(_ITEM, _ITEM + _item_locals(each_keys, each_argv, lists), 1)
    top = _bind(keys, "KEYS", "") + _bind(argv, "ARGV", "")
    source = "".join([top, _PRELUDE.format(keys=len(keys), argv=len(argv)), *included, body])
    sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    return Script(name, keys, argv, each_keys, each_argv, lists, header["REPLIES"], source, sha)


@cache
def load(name: str) -> Script:
    """Load a transition by its name, the name of its file."""
    return parse(name, text_of(name))


def names() -> list[str]:
    """Name all scripts."""
    return sorted(subjects())
