"""The sizes that the design aims at, held; `pytest tests/unit/test_sizes.py -s` prints the figures."""

import ast
import statistics
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"


def function_lines(path: Path) -> list[int]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_files_and_functions_stay_within_the_designs_sizes() -> None:
    files = {path: len(path.read_text().splitlines()) for path in SOURCE.rglob("*.py")}
    lua = {path: len(path.read_text().splitlines()) for path in SOURCE.rglob("*.lua")}
    functions = sorted(lines for path in files for lines in function_lines(path))
    p90 = functions[len(functions) * 9 // 10]
    print(  # noqa: T201 (these are the figures)
        f"\nPython files {len(files)}: median {statistics.median(files.values()):.0f}, most {max(files.values())} lines"
        f"\nfunctions {len(functions)}: median {statistics.median(functions):.0f}, p90 {p90}, most {functions[-1]} lines"
        f"\nLua files {len(lua)}: median {statistics.median(lua.values()):.0f}, most {max(lua.values())} lines"
    )
    assert max(files.values()) <= 300
    assert max(lua.values()) <= 100
    assert functions[-1] <= 50
    assert p90 <= 18
