"""The tables in the documents are those of the kinds and exit codes in the code."""

from __future__ import annotations

from pathlib import Path

import pytest
from team_mail.mail.kinds import exit_codes_table, kinds_table

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("document", "name", "table"), [("log.md", "kinds", kinds_table()), ("mail.md", "exit codes", exit_codes_table())]
)
def test_a_generated_table_is_what_the_code_says(document, name, table):
    """A new kind or exit code is in the documents, in the words of mail/kinds.py."""
    text = (DOCS / document).read_text()
    _, mark, rest = text.partition(f"<!-- {name}: generated from mail/kinds.py -->\n\n")
    assert mark
    assert rest.partition(f"\n\n<!-- end of {name} -->")[0] == table
