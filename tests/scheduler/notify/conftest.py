"""A team whose log and scheduler go by a clock that is set by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from team_mail.mail.clock import ManualClock
from team_mail.mail.log.log import EventLog
from team_mail.mail.mailbox import Mailbox
from team_mail.mail.query.rows import FileProjections

from .receiver import SECRET

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def table(url: str, name: str = "ci", on: str = '"needs-me"', **more: str) -> str:
    """The text of `[notify.NAME]` for a webhook."""
    lines = "".join(f'{key} = "{value}"\n' for key, value in more.items())
    return f'[notify.{name}]\nkind = "webhook"\nurl = "{url}"\nsecret_file = "hook.secret"\non = [{on}]\n{lines}'


@pytest.fixture
def clock():
    return ManualClock(NOW)


@pytest.fixture
def slow(team, clock):
    """Opens the team with some settings, at the time of the clock."""

    def opened(settings: str):
        (team.folder / "hook.secret").write_text(SECRET)
        context = team.context({}, settings)
        log = EventLog(team.home / "mail", clock=clock)
        mailbox = context.mailbox
        mailbox = Mailbox(log, mailbox.blobs, FileProjections(log), mailbox.directory, clock, home=team.home)
        return replace(context, clock=clock, mailbox=mailbox)

    return opened
