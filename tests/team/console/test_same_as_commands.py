"""The document of a route is that of the command, field by field."""

from __future__ import annotations

import pytest
from team_mail.mail.letter import Letter
from team_mail.mail.open import open_mailbox

SAME = [
    ("/api/status", "team status"),
    ("/api/roster", "team personas"),
    ("/api/mail/2", "team-mail read 2 --peek"),
]


@pytest.mark.parametrize(("path", "command"), SAME, ids=[path for path, _ in SAME])
def test_a_route_has_the_document_of_its_command(team, ask, printed, path, command):
    """What both show is one value."""
    open_mailbox(team.home, create=True).send(Letter("ann", ["you"], "First", "one"))
    assert ask.get(path).json == printed(*command.split())
