"""A host that leads after another one is gone has what had landed, whatever its own clone has."""

from __future__ import annotations

from dataclasses import replace

import pytest
from team_mail.mail.letter import Letter
from team_mail.mail.log.log import EventLog
from team_mail.scheduler.errors import NotReady
from team_mail.scheduler.hosts.bases import offer_base
from team_mail.scheduler.hosts.regaining import regain
from team_mail.scheduler.runs.batch import BatchRunner
from team_mail.scheduler.sprint.tick import Ticker

from ...conftest import Team, git, run_batch

BRANCH, KEPT = "team/sprint-1", "refs/team/sprint-1/tip"
NONE, MANY = {}, "[sprint]\nmax_attempts = 20\n"
ANN, BOB = {"ann": Team.replaced(3, "ann 3")}, {"bob": Team.replaced(13, "bob 13")}


@pytest.fixture
def hosts(tmp_path, poem):
    """Two clones of one repository, each with a team's folder: hosts a and b."""
    teams = []
    for name in ("a", "b"):
        git(tmp_path, "clone", "--quiet", str(poem), name)
        teams.append(Team(tmp_path / name))
        teams[-1].roster("ann", "bob")
    return teams


def ticker(team, scripts, leader, settings=""):
    """Return what carries out ticks on a host, with the mail of the one that leads, as on a server."""
    context = team.context(scripts, settings)
    if team is not leader:
        context = replace(context, mailbox=leader.context().mailbox)
    return Ticker(context, BatchRunner(context))


def step(team, leader, scripts=NONE, settings=MANY):
    """Carry out a tick on a host: what waits is woven, and those who have scripts run; return its context."""
    own = ticker(team, scripts, leader, settings)
    for name in scripts or ("ann",):
        own.context.mailbox.send(Letter("you", [name], "your turn"))
    run_batch(own)
    return own.context


def landed(a):
    """Have two patches land on host a, one after the other; return the branch's commit."""
    step(a, a, ANN)
    step(a, a, BOB)
    step(a, a)
    assert len(git(a.folder, "log", "--format=%H", f"main..{BRANCH}").split()) == 2
    return git(a.folder, "rev-parse", BRANCH)


def fyis(context):
    """Return the subjects and bodies of what the human is to know."""
    mail = [mail for mail in context.mailbox.inbox("you") if mail.type == "fyi"]
    return [(each.subject, context.mailbox.peek(each.id).body) for each in mail]


def test_the_same_commits_are_made_again_from_the_patches_on_record(hosts):
    """Without a remote, a bundle, or a connection: the log has all that is needed, and no branch is lost."""
    a, b = hosts
    tip = landed(a)
    context = step(b, a)
    assert git(b.folder, "rev-parse", BRANCH) == git(b.folder, "rev-parse", KEPT) == tip
    git(b.folder, "fsck", "--strict")
    ((subject, body),) = fyis(context)
    assert subject == f"{BRANCH} is on this host now"
    assert "2 commits made again" in body
    assert not [event for event in context.mailbox.log.read() if event.kind == "weave.lost"]


def test_a_host_that_led_before_goes_on_from_where_it_was(hosts):
    """Its branch is behind what another one has landed meanwhile."""
    a, b = hosts
    step(a, a, ANN)
    step(a, a, BOB)
    early = git(a.folder, "rev-parse", BRANCH)
    step(b, a)
    tip = git(b.folder, "rev-parse", BRANCH)
    assert git(b.folder, "rev-parse", f"{BRANCH}~1") == early
    step(a, a)
    assert git(a.folder, "rev-parse", BRANCH) == tip


def commit_by_hand(a):
    """Put a commit of a person on the branch of host a."""
    git(a.folder, "switch", "--quiet", BRANCH)
    (a.folder / "mine.txt").write_text("mine\n")
    git(a.folder, "add", "mine.txt")
    git(a.folder, "commit", "--quiet", "-m", "Mine")
    git(a.folder, "switch", "--quiet", "main")


def test_what_only_git_had_comes_from_where_it_was_pushed_or_from_a_bundle(hosts, tmp_path):
    """A commit of a person, on which the weaver went on, is in no patch."""
    a, b = hosts
    step(a, a, ANN)
    step(a, a)
    commit_by_hand(a)
    step(a, a, BOB)
    own = step(a, a)
    tip, mine = git(a.folder, "rev-parse", BRANCH), git(a.folder, "rev-parse", f"{BRANCH}~1")
    git(tmp_path, "clone", "--quiet", "--bare", str(a.folder), "app.git")
    git(tmp_path, "clone", "--quiet", str(b.folder), "c")
    c = Team(tmp_path / "c")
    c.roster("ann", "bob")

    setting = f'{MANY}[workspace]\nremote = "{tmp_path / "app.git"}"\n'
    step(b, a, settings=setting)
    assert git(b.folder, "rev-parse", BRANCH) == tip

    blob = offer_base(own, mine)
    context = ticker(c, {}, a).context
    (context.home / "work/bases").mkdir(parents=True)
    (context.home / "work/bases/offered.json").write_text(f'{{"{mine}": "{blob}"}}')
    assert regain(context, context.state(whole=False))
    assert git(c.folder, "rev-parse", KEPT) == tip


def test_what_cannot_be_made_again_is_woven_again_and_told(hosts):
    """A commit of a person that is nowhere else: the patches land without it, onto the newest base."""
    a, b = hosts
    step(a, a, ANN)
    step(a, a)
    commit_by_hand(a)
    step(a, a, BOB)
    step(a, a)
    context = step(b, a)
    assert b.text(BRANCH)[3] == "ann 3"
    assert b.text(BRANCH)[13] == "bob 13"
    assert [subject for subject, _ in fyis(context)] == [f"{BRANCH} was moved or deleted, and is woven again"]


def test_a_host_without_the_base_is_told_what_to_do(hosts, monkeypatch):
    """On a server's log nothing is woven onto an older base that the host happens to have."""
    a, b = hosts
    git(a.folder, "commit", "--quiet", "--allow-empty", "-m", "Newer")
    landed(a)
    monkeypatch.setattr(EventLog, "copy_of", "postgresql://db/team")
    with pytest.raises(NotReady, match=r"lacks commit \w+, from which team/sprint-1 began.*remote"):
        step(b, a)
    git(b.folder, "fetch", "--quiet", str(a.folder), "main:theirs")
    step(b, a)
    assert git(b.folder, "rev-parse", BRANCH) == git(a.folder, "rev-parse", BRANCH)
