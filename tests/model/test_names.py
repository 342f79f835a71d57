"""The model's scripts are the Lua files."""

import inspect

from millstream.scripts import loader as scripts
from model.scripts import Includes
from model.steps import Scripts

PARTS = {"follows", "go_on"}  # of the model: whether a rule is in force; half a script
# These touch nothing that a decision or a task depends on: the catalog's names, and what has expired.
HOUSEKEEPING = {"offer_task", "trim_runs", "trim_dead_letters", "trim_catalog", "trim_formats"}


def test_every_lua_file_is_an_action_of_the_model_or_housekeeping() -> None:
    assert issubclass(Scripts, Includes)
    modelled = {
        name for name, _ in inspect.getmembers(Scripts, inspect.isfunction) if not name.startswith("_")
    }
    changing = {name for name, subject in scripts.subjects().items() if subject != "read"}
    assert modelled - PARTS == changing - HOUSEKEEPING
