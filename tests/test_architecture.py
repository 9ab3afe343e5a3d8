"""The shape of the code, read from its source: who may import whom, where a third party lives, how long things are."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("mail", "personas", "scheduler", "team")  # each may import those before it
DOORS = ("", *FOLDERS)
COMMANDS = re.compile(r"(mail|scheduler|team)\.cli(_\w+)?")  # a command line in one module, or in several
HOMES = {
    "apscheduler": re.compile(r"scheduler\.cron"),
    "duckdb": re.compile(r"mail\.query"),
    "fastapi": re.compile(r"team\.console"),
    "ibis": re.compile(r"mail\.(projections\w*|compile)"),
    "jinja2": re.compile(r"personas\.template"),
    "psutil": re.compile(r"personas\.sweep"),
    "psycopg": re.compile(r"mail\.postgres"),
    "pydantic": re.compile(r"scheduler\.(settings\w*|task\w*|planner\.roadmap\w*)"),
    "rich": re.compile(r"mail\.render|scheduler\.live"),
    "typer": COMMANDS,
    "uuid_utils": re.compile(r"mail\.event"),
    "vl_convert": re.compile(r"scheduler\.chart"),
    "watchfiles": re.compile(r"mail\.follow"),
    "yaml": re.compile(r"personas\.front"),
}
NOWHERE = re.compile(r"(?!)")
# Imports that wait until a function is called. Commands and front doors may have any: they load what is asked for.
LAZY = {
    "mail.log": {"follow", "lookup", "query", "reading", "recovery", "verify"},  # a send needs none of them
    "mail.mailbox": {"export", "query"},  # nor the email package and the database
    "mail.output": {"render"},  # only on the way to an error
    "mail.projections": {"query"},  # compiling the SQL must not need the database
    "mail.simple": {"projections"},  # only a notebook asks through Ibis
    "mail.writer": {"recovery", "verify"},  # only after a crash
    "personas.prompt": {"template"},  # an idle tick writes no prompt, and need not wait for Jinja2
}


@dataclass(frozen=True)
class Import:
    """One import statement's one name: `target` is dotted from the package's root, or a third party's name."""

    module: str
    line: int
    target: str
    own: bool
    relative: bool
    lazy: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


@cache
def modules() -> dict[str, ast.Module]:
    """Parse every module of the package, by dotted name; a package's own module bears the package's name."""
    files = [ROOT / "__init__.py", *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))]
    return {name_of(path): ast.parse(path.read_text(), str(path)) for path in files}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


def path_of(module: str) -> Path:
    folder = ROOT.joinpath(*module.split(".")) if module else ROOT
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


@cache
def imports() -> tuple[Import, ...]:
    """Find every import of the package, those for types only and those within functions included."""
    return tuple(found for module, tree in modules().items() for found in imports_in(module, tree, lazy=False))


def imports_in(module: str, tree: ast.AST, *, lazy: bool) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield absolute(module, node.lineno, alias.name, lazy)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield absolute(module, node.lineno, node.module or "", lazy)
        elif isinstance(node, ast.ImportFrom):
            for target in relative(module, node):
                yield Import(module, node.lineno, target, own=True, relative=True, lazy=lazy)
        within = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from imports_in(module, node, lazy=within)


def absolute(module: str, line: int, name: str, lazy: bool) -> Import:
    top, _, rest = name.partition(".")
    own = top == "team_mail"
    return Import(module, line, rest if own else top, own=own, relative=False, lazy=lazy)


def relative(module: str, node: ast.ImportFrom) -> Iterator[str]:
    """Resolve `from .a import b` to the module `a.b` if there is one, else to `a`."""
    package = module.split(".") if path_of(module).name == "__init__.py" else module.split(".")[:-1]
    above = package[: len(package) + 1 - node.level]
    base = [part for part in (*above, *(node.module or "").split(".")) if part]
    for alias in node.names:
        longer = ".".join([*base, alias.name])
        yield longer if longer in modules() else ".".join(base)


def functions() -> list[tuple[str, int]]:
    """List every function with its length in lines, from `def` or its first decorator to its end."""
    return [
        (
            f"{module}.{node.name}",
            (node.end_lineno or 0) + 1 - min([node.lineno, *(d.lineno for d in node.decorator_list)]),
        )
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def public(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Go through a module's public functions and classes, and the public methods of those."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and not inner.name.startswith("_"):
                    yield f"{node.name}.{inner.name}", inner


def test_every_module_is_read():
    """The rules below would hold of nothing if nothing were found."""
    assert {"", "mail", "mail.log", "mail.event", "personas", "scheduler", "team"} <= modules().keys()
    assert ("mail.log", "mail.event") in {(i.module, i.target) for i in imports()}
    assert ("mail.event", "uuid_utils") in {(i.module, i.target) for i in imports()}


def test_imports_point_one_way():
    """`mail` knows nobody, `personas` knows mail, and so on: never back, not even for a type."""
    back = [
        str(found)
        for found in imports()
        if found.own
        and found.module
        and FOLDERS.index(found.target.split(".")[0] or FOLDERS[-1]) > FOLDERS.index(found.module.split(".")[0])
    ]
    assert not back


@pytest.mark.parametrize(
    ("alcove", "knows"), [("weaver", ("mail", "personas")), ("planner", ("mail", "personas", "scheduler"))]
)
def test_what_has_a_package_of_its_own_in_the_scheduler_runs_nothing(alcove, knows):
    """The weaver's loom knows no log, no sprint and no team; the planner launches nobody and weaves nothing."""
    inside = f"scheduler.{alcove}"
    others = {found.target for found in imports() if found.own and found.module.startswith(f"{inside}.")}
    outside = {target for target in others if not target.startswith(f"{inside}.")}
    assert {target.split(".")[0] for target in outside} <= set(knows)
    assert not outside & {
        f"scheduler.{name}" for name in ("workshop", "launch", "player", "tick", "dispatch", "integrate")
    }


def test_nobody_imports_a_front_door():
    """The packages' own modules name the public API for users; inside, everybody goes to the module itself."""
    assert not [str(found) for found in imports() if found.own and found.target in DOORS]


def test_imports_within_the_package_are_relative():
    """An import is true to its path, so the code does not care what the package is called."""
    assert not [str(found) for found in imports() if found.own and not found.relative]


def test_imports_have_no_knots():
    """No module needs itself on the way round, be it for types or within a function."""
    graph = {name: {found.target for found in imports() if found.own and found.module == name} for name in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as knot:
        pytest.fail(f"these import each other: {' <- '.join(knot.args[1])}")


def test_imports_that_wait_are_named():
    """An import within a function hides what a module needs, so each one has its reason in `LAZY`."""
    unnamed = [
        str(found)
        for found in imports()
        if found.own
        and found.lazy
        and found.module not in DOORS
        and not COMMANDS.fullmatch(found.module)
        and found.target.split(".")[-1] not in LAZY.get(found.module, set())
    ]
    assert not unnamed


def test_third_parties_are_at_home():
    """Each third-party name has its one home, and one without a home is refused: the way in is `HOMES`."""
    strangers = [
        str(found)
        for found in imports()
        if not found.own
        and found.target not in sys.stdlib_module_names
        and not HOMES.get(found.target, NOWHERE).fullmatch(found.module)
    ]
    assert not strangers


def test_modules_are_short():
    """A module holds one noun, and nobody scrolls through more than 300 lines for it."""
    lengths = {module or "team_mail": len(path_of(module).read_text().splitlines()) for module in modules()}
    print(
        f"{len(lengths)} modules, median {statistics.median(lengths.values()):g} lines, longest {max(lengths.values())}"
    )
    assert not {module: lines for module, lines in lengths.items() if lines > 300}


def test_functions_are_short():
    """Half of them have at most 8 lines, and of twenty at most one more than 35."""
    found = sorted(functions(), key=lambda function: function[1])
    lengths = [lines for _, lines in found]
    median, late = statistics.median(lengths), statistics.quantiles(lengths, n=20)[-1]
    print(f"{len(lengths)} functions, median {median:g} lines, 95th percentile {late:g}, longest {found[-5:]}")
    assert median <= 8
    assert late <= 35


def test_what_is_public_is_documented():
    """Modules, public classes, functions and methods say what they are."""
    silent = [module or "team_mail" for module, tree in modules().items() if not ast.get_docstring(tree)]
    for module, tree in modules().items():
        silent += [f"{module}.{name}" for name, node in public(tree) if not ast.get_docstring(node)]
    assert not silent


@pytest.mark.parametrize("module", ["log", "mailbox"])
def test_a_send_loads_no_library_that_it_does_not_need(module):
    """In a fresh process, the way to a send passes by every library that would make it slow."""
    code = f"import sys, team_mail.mail.{module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()

    slow = {"ibis", "pandas", "pyarrow", "pydantic", "rich", "duckdb", "typer"}
    assert "team_mail" in loaded
    assert not slow & set(loaded)
