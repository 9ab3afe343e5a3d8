"""`team notify` and `team notify test`: what people and cron get to know."""

from __future__ import annotations

import json
import os

import pytest
from team_mail.mail.errors import UsageError
from team_mail.mail.letter import Letter
from team_mail.team.api.outside import notices
from team_mail.team.show import notices as show

from ..console import run_command

SETTINGS = '[notify.diary]\nkind = "command"\ncommand = ["sh", "-c", "test -e there"]\non = ["mail.sent"]\n'


def test_the_command_tells_what_failed_by_its_exit_code(team):
    """For cron: 0 if nothing failed, 1 and the reason if something did."""
    context = team.context({}, SETTINGS)

    def notify(*words):
        ended = run_command("team", "notify", *words, cwd=team.folder, env=dict(os.environ))
        return ended.returncode, ended.stdout.decode()

    code, out = notify("test", "diary", "--json")
    assert (code, json.loads(out)) == (1, {"name": "diary", "arrived": False, "why": "sh ended with 1"})
    (team.folder / "there").touch()
    assert notify("test", "diary") == (0, "diary: it arrived\n")
    assert notices.send_due(context).document() == [{"name": "diary", "taken": 0, "failed": [], "waiting": 0}]
    assert notify() == (0, "diary: 0 notices sent\n")


def test_a_name_that_is_none_gets_the_nearest(team):
    context = team.context({}, SETTINGS)
    with pytest.raises(UsageError, match=r"no \[notify\.dairy\]; did you mean diary\?"):
        notices.try_endpoint(context, "dairy")


def test_without_a_table_nothing_is_done_and_said_so(team):
    context = team.context({})
    head = context.mailbox.log.head()
    assert [*show.delivered(notices.send_due(context))] == [
        "nobody is to be told anything: write [notify.NAME] into team.toml"
    ]
    assert context.mailbox.log.head() == head


def test_what_failed_is_shown_below_what_was_sent(team):
    context = team.context({}, SETTINGS)
    notices.send_due(context)
    context.mailbox.send(Letter("ann", ["you"], "Which database?"))
    done = notices.send_due(context)
    assert next(show.delivered(done)).startswith("diary: 0 notices sent, 1 notice to be sent later")
    assert {*done.endpoints[0].failed} == {"sh ended with 1"}
    assert not done.arrived
