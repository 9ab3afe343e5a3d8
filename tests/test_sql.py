"""The shipped SQL is the SQL that the projections compile to."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
from team_mail.mail.query.compile import DIALECTS, compiled, sql_folder

ROOT = Path(__file__).parent.parent
MODULES = re.findall(r"team_mail\.\w[\w.]*\.projections", (ROOT / "Makefile").read_text())


def test_make_sql_compiles_every_module_of_projections():
    """A new module of projections is named in the Makefile, or its SQL would never be written."""
    files = {path.relative_to(ROOT) for path in ROOT.glob("[mpst]*/*/projections.py")}
    assert sorted(MODULES) == sorted(".".join(("team_mail", *path.with_suffix("").parts)) for path in files)


@pytest.mark.parametrize("module", [import_module(name) for name in MODULES], ids=MODULES)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_shipped_sql_is_what_the_projections_compile_to(module, dialect):
    """The SQL is never edited by hand, and a projection is never changed without compiling it."""
    folder = sql_folder(module) / dialect
    shipped = {path.name: path.read_text() for path in folder.iterdir()}
    fresh = compiled(module, dialect)

    stale = sorted(name for name in fresh.keys() | shipped.keys() if fresh.get(name) != shipped.get(name))
    assert not stale, f"{folder.relative_to(ROOT)} does not match projections.py: {', '.join(stale)}; run `make sql`"


@pytest.mark.parametrize("module", [import_module(name) for name in MODULES], ids=MODULES)
def test_every_folder_of_sql_is_a_dialect(module):
    """SQL of a dialect that is no longer compiled is deleted."""
    assert sorted(path.name for path in sql_folder(module).iterdir()) == sorted(DIALECTS)
