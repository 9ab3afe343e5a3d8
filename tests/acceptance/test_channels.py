"""Teams and channels from the settings to the agent: what a run is told, may read and may write."""

from __future__ import annotations

import json

import pytest

from .test_scheduler import project

__all__ = ["project"]

TEAMS = '[teams.code]\nmembers = ["ann"]\nreviewers = ["bob"]\nchannel = "review"\n[teams.ux]\nmembers = ["cyd"]\n'
AGENT = """
out=$TEAM_HOME/../../{persona}; cat > $out-prompt.txt
test {attempt} = 1 || exit 0
team-mail inbox --channel review > $out.txt 2> $out.err; echo $? > $out.code
cat .team/run/inbox/*.md > $out.md
test {persona} = ann || exit 0
team-mail send --to '#review' -s "From ann" -b x --type fyi
"""


def test_a_run_reads_and_writes_the_channels_of_its_persona(project):
    """A member sees what was said before it came, somebody else is refused; prompt and files name the channel."""
    project.agent(AGENT, '[teams.early]\nmembers = ["ann"]\nreviewers = ["you"]\nchannel = "review"\n')
    project.ok("team-mail", "send", "--to", "@review", "-s", "Before bob", "-b", "x")
    project.agent(AGENT, TEAMS)
    project.ok("team-mail", "send", "--to", "@review", "-s", "To both", "-b", "x")
    project.document("sprint")

    def told(name: str) -> str:
        return (project.folder.parent / name).read_text()

    assert [told(f"{name}.code").strip() for name in ("ann", "bob", "cyd")] == ["0", "0", "2"]
    assert "Before bob" in told("bob.txt")
    assert "[ NEW ] 3 | From: you | Channel: review | Subject: To both" in told("bob.txt")
    assert told("cyd.txt") == ""
    assert "cyd is no member of channel review" in told("cyd.err")
    assert "\nFrom: you (the human; not from a run)\nChannel: review\n" in told("bob-prompt.txt")
    assert "Your channels: `@review`." in told("bob-prompt.txt")
    assert "Channel" not in told("cyd-prompt.txt")
    assert "\nTo: ann, bob\nChannel: review\n" in told("bob.md")
    (event,) = [event for event in project.events("mail.sent") if event["sender"] == "ann"]
    assert (event["recipients"], event["data"]["channel"]) == (["bob"], "review")
    listed = json.loads(project.ok("team-mail", "inbox", "--channel", "review", "--json"))
    assert [message["subject"] for message in listed] == ["From ann", "To both", "Before bob"]
    assert {message["channel"] for message in listed} == {"review"}


def test_the_human_reads_a_channel_and_nothing_is_marked(project):
    """Without a persona it is the human who reads; bodies come with --bodies."""
    project.agent(more=TEAMS)
    project.ok("team-mail", "send", "--from", "ann", "--to", "@review", "-s", "Look", "-b", "At this.")
    before = project.log()
    line = "2 | From: ann | Channel: review | Subject: Look\n"
    assert project.ok("team-mail", "inbox", "--channel", "#review") == f"[     ] {line}"
    assert project.ok("team-mail", "inbox", "--channel", "review", "-p", "bob") == f"[ NEW ] {line}"
    (whole,) = json.loads(project.ok("team-mail", "inbox", "--channel", "@review", "--json", "--bodies"))
    assert (whole["body"], whole["read"], whole["channel"]) == ("At this.", False, "review")
    assert project.log() == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["inbox", "--channel", "reveiw"], "no channel 'reveiw'; did you mean review?"),
        (["inbox", "--channel", "ux"], "no channel 'ux'; there are review"),
        (["inbox", "--channel", "review", "--unread"], "--channel lists all that was said there: leave out --unread"),
        (["inbox", "--channel", "review", "--as-of", "2"], "leave out --as-of"),
        (["send", "--to", "@cod", "-s", "x", "-b", "x"], "no group @cod; did you mean code?"),
        (["send", "--to", "#code", "-s", "x", "-b", "x"], "no channel #code; there are review"),
        (["send", "--from", "cyd", "--to", "@ux", "-s", "x", "-b", "x"], "@ux reaches nobody but cyd, who sends it"),
    ],
)
def test_a_wrong_channel_or_address_is_refused_in_one_line(project, words, says):
    """Exit code 2, the nearest name, and nothing is written."""
    project.agent(more=TEAMS)
    ended = project.run("team-mail", *words)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert says in ended.stderr
    assert project.log() == b""


@pytest.mark.parametrize(
    "text",
    [
        "teams = 3", "[teams]\ncode = 3", '[teams.code]\nmembers = "ann"', '[channels.x]\nmembers = "ann"',
        "channels = 3", '[groups]\ncode = ["ann"]\n[teams.code]\nmembers = ["bob"]',
    ],
)  # fmt: skip
def test_mail_refuses_tables_that_it_cannot_read(project, text):
    """One line names the table; no message is sent by half-read settings."""
    (project.team / "team.toml").write_text(text)
    ended = project.run("team-mail", "send", "--to", "ann", "-s", "x", "-b", "x")
    assert (ended.returncode, ended.stderr.startswith("team-mail: team.toml: ")) == (2, True), ended
    assert project.log() == b""


def test_a_wrong_team_stops_every_command_that_needs_the_settings(project):
    """Each says the same, with the line, and starts nothing."""
    project.agent(more='[teams.code]\nmembers = ["anne"]\n')
    for words in (["scheduler", "--dry-run"], ["scheduler", "sprint"], ["team", "personas"], ["team", "config"]):
        ended = project.run(*words)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert "team.toml:5: teams.code.members: no persona 'anne'; did you mean ann" in ended.stderr
    assert project.events("run.started") == []


def test_the_roster_is_listed_with_teams_and_channels(project):
    """Below the table, a line each; a team without any has the table alone."""
    assert len(project.ok("team", "personas").splitlines()) == 3
    project.agent(more=TEAMS + '[channels.news]\nmembers = ["you"]\n')
    assert project.ok("team", "personas").splitlines()[3:] == [
        "team code: ann, reviewed by bob, channel review",
        "team ux: cyd",
        "channel news: you",
        "channel review: ann, bob",
    ]
    document = json.loads(project.ok("team", "personas", "--json"))
    assert document["teams"]["code"] == {"members": ["ann"], "reviewers": ["bob"], "channel": "review"}
    assert document["teams"]["ux"] == {"members": ["cyd"], "reviewers": [], "channel": None}
    assert document["channels"] == {"news": ["you"], "review": ["ann", "bob"]}
