"""The SQL that is shipped is the SQL that the projections compile to."""

from __future__ import annotations

from pathlib import Path

import pytest
from team_mail.mail.query.compile import DIALECTS, SQL, compiled


@pytest.mark.parametrize("dialect", DIALECTS)
def test_shipped_sql_is_what_the_projections_compile_to(dialect):
    """Nobody edits the SQL by hand, and nobody changes a projection without compiling it."""
    shipped = {path.name: path.read_text() for path in Path(SQL, dialect).iterdir()}
    fresh = compiled(dialect)

    stale = sorted(name for name in fresh.keys() | shipped.keys() if fresh.get(name) != shipped.get(name))
    assert not stale, f"mail/sql/{dialect} is not what mail/projections.py says: {', '.join(stale)}; run `make sql`"


def test_every_folder_of_sql_is_a_dialect():
    """A dialect that is no longer compiled leaves no SQL behind."""
    assert sorted(path.name for path in SQL.iterdir()) == sorted(DIALECTS)
