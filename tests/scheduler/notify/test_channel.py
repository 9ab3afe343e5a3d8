"""Notices to ntfy, to a command and to the desktop."""

from __future__ import annotations

import json
import shlex

import pytest
from team_mail.mail.log.event import Draft
from team_mail.scheduler.errors import SettingsError
from team_mail.scheduler.notify.channel import Message, make_channel
from team_mail.scheduler.notify.notifier import send_due
from team_mail.scheduler.settings.notify import NotifySettings

from .conftest import NOW
from .receiver import Receiver

MESSAGE = Message("1", b'{"id":"1"}', "Held", "- a <b>patch</b>", is_urgent=True, at=NOW)


def test_ntfy_gets_title_priority_and_a_link_and_no_button(slow, team, clock):
    """Its server would hold the right to do what a button does."""
    with Receiver() as ntfy:
        url = ntfy.url.replace("/hook", "/below/my-team")
        context = slow(
            f'[notify.phone]\nkind = "ntfy"\nurl = "{url}"\nsecret_file = "token"\nconsole = "https://c.example"\n'
        )
        (team.folder / "token").write_text("tk_abc\n")
        send_due(context)
        context.append([Draft("round.paused", "supervisor", data={"sprint": 3, "why": "nothing landed in 4 rounds"})])
        clock.sleep(6)
        send_due(context)
    (got,) = ntfy.got
    assert (got.path, got.headers["authorization"]) == ("/below/", "Bearer tk_abc")
    assert got.json == {
        "topic": "my-team", "title": "rounds are paused after round 3: nothing landed in 4 rounds", "priority": 4,
        "message": "- rounds are paused after round 3: nothing landed in 4 rounds: scheduler resume",
        "click": "https://c.example",
    }  # fmt: skip


def test_a_token_that_a_server_repeats_stands_in_no_reason(tmp_path):
    (tmp_path / "token").write_text("tk_abc")
    with Receiver(lambda _: 403) as ntfy:
        table = {"kind": "ntfy", "url": ntfy.url, "secret_file": str(tmp_path / "token")}
        answer = make_channel(NotifySettings(**table), tmp_path).send(MESSAGE)
    assert answer.why.startswith("answered 403")
    assert "tk_abc" not in answer.why


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("cat > got", ""),
        ("echo no room >&2; exit 3", "sh ended with 3: no room"),
        ("sleep 60 & wait", "sh did not end within 0.5 s"),
    ],
)
def test_a_command_gets_the_json_and_ends_well_or_in_time(tmp_path, script, reason):
    table = NotifySettings(kind="command", command=("sh", "-c", script))
    assert make_channel(table, tmp_path, limit=0.5).send(MESSAGE).why == reason
    if not reason:
        assert json.loads((tmp_path / "got").read_text()) == {"id": "1"}


def test_a_command_sees_no_secret_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "secret")
    table = NotifySettings(kind="command", command=("sh", "-c", "env > got"))
    assert make_channel(table, tmp_path).send(MESSAGE).why == ""
    assert "MY_API_KEY" not in (tmp_path / "got").read_text()


def test_the_desktop_gets_title_and_text_without_markup(tmp_path, monkeypatch):
    program = tmp_path / "notify-send"
    program.write_text(f'#!/bin/sh\nprintf "%s|" "$@" > {shlex.quote(str(tmp_path / "got"))}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    channel = make_channel(NotifySettings(kind="desktop"), tmp_path)
    assert (channel.trouble(), channel.send(MESSAGE).why) == (None, "")
    words = (tmp_path / "got").read_text().split("|")
    assert words[:2] == ["--app-name=team-mail", "--urgency=critical"]
    assert words[3:5] == ["Held", "- a &lt;b&gt;patch&lt;/b&gt;"]


def test_what_is_not_there_is_refused_at_the_start_with_the_line(slow, monkeypatch):
    context = slow('[notify.me]\nkind = "command"\ncommand = ["./no-such"]\n')
    with pytest.raises(
        SettingsError, match=r"^team\.toml:5: notify\.me\.command names './no-such', which is not there"
    ):
        send_due(context)
    context = slow('[notify.me]\nkind = "desktop"\n')
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SettingsError, match=r"^team\.toml:4: notify\.me\.kind is \"desktop\", and notify-send"):
        send_due(context)
