"""What landed is pushed after each weave, never by force; a push that fails is told once and tried again."""

from __future__ import annotations

import threading

import pytest
from team_mail.scheduler.hosts import pushing
from team_mail.scheduler.hosts.pushing import Pushes, Target, push

from ...conftest import Team, git

BRANCH = "team/sprint-1"


@pytest.fixture
def team(tmp_path, poem):
    """A team in a clone of a bare repository."""
    git(tmp_path, "clone", "--quiet", "--bare", str(poem), "app.git")
    git(tmp_path, "clone", "--quiet", str(tmp_path / "app.git"), "a")
    made = Team(tmp_path / "a")
    made.roster("ann", "bob")
    return made


@pytest.fixture
def remote(team):
    """The folder of the bare repository."""
    return team.folder.parent / "app.git"


def setting(name="origin"):
    """Return the settings that push."""
    return f'[weaver]\npush = "{name}"\n'


SCRIPTS = {"ann": Team.replaced(3, "ann 3"), "bob": Team.replaced(13, "bob 13")}


def told(team):
    """Return the subjects and bodies of what the human is asked."""
    box = team.context().mailbox
    return [(mail.subject, box.peek(mail.id).body) for mail in box.inbox("you") if mail.type == "escalate"]


def test_a_sprint_pushes_its_branch_and_base_stays(team, remote):
    """The remote has what the log says landed, and nothing else has changed there."""
    before = git(remote, "rev-parse", "main")
    assert team.sprint(SCRIPTS, setting()).converged
    assert git(remote, "rev-parse", BRANCH) == team.git("rev-parse", BRANCH)
    assert git(remote, "rev-parse", "main") == before
    assert git(remote, "for-each-ref", "--format=%(refname)").split() == ["refs/heads/main", f"refs/heads/{BRANCH}"]
    assert not told(team)


def hook(remote, text):
    """Write a hook of the remote that decides over pushes."""
    place = remote / "hooks/pre-receive"
    place.parent.mkdir(exist_ok=True)
    place.write_text(f"#!/bin/sh\n{text}\n")
    place.chmod(0o755)


def test_a_push_that_fails_ends_no_sprint_and_is_told_once(team, remote, monkeypatch):
    """A hook refuses, then the remote is gone; once it takes pushes again, it has everything."""
    monkeypatch.setattr(pushing, "_SHORTEST_PAUSE", 0.0)
    hook(remote, "echo 'not on Fridays' >&2; exit 1")
    assert team.sprint(SCRIPTS, setting()).converged
    ((subject, body),) = told(team)
    assert subject == f"{BRANCH} is not pushed"
    assert "pre-receive hook declined" in body
    assert "not on Fridays" in body
    assert f"git push origin {team.git('rev-parse', BRANCH)}:refs/heads/{BRANCH}" in body
    hook(remote, "exit 0")
    context = team.context(SCRIPTS, setting())
    with Pushes() as pushes:
        pushes.follow(context, context.state(whole=False))
    assert git(remote, "rev-parse", BRANCH) == team.git("rev-parse", BRANCH)
    assert len(told(team)) == 1


def test_what_others_pushed_is_never_overwritten(team, remote):
    """A branch that went another way stays and is told; one with commits on top has what landed."""
    team.sprint(SCRIPTS)
    context, tip = team.context({}, setting()), team.git("rev-parse", BRANCH)
    target = Target("origin", BRANCH, tip)
    git(remote, "branch", BRANCH, "main")
    assert not push(context, target)
    on_top = git(remote, "commit-tree", "-p", tip, "-m", "On top", f"{tip}^{{tree}}")
    git(remote, "update-ref", f"refs/heads/{BRANCH}", on_top)
    assert not push(context, target)
    aside = git(remote, "commit-tree", "-p", "main", "-m", "Aside", "main^{tree}")
    git(remote, "update-ref", f"refs/heads/{BRANCH}", aside)
    assert "nothing is pushed by force" in push(context, target)
    assert git(remote, "rev-parse", BRANCH) == aside


def test_no_secret_of_an_address_is_shown(team):
    """Neither in the mail nor in what is said, whether the settings name the address or git's own do."""
    team.git("remote", "set-url", "origin", "http://ada:hunter2@127.0.0.1:9/app.git")
    team.sprint(SCRIPTS)
    context, said = team.context({}, setting()), list[str]()
    with Pushes(said.append) as pushes:
        pushes.follow(context, context.state(whole=False))
    ((_, body),) = told(team)
    assert "127.0.0.1" in body
    assert len(said) == 1
    assert "hunter2" not in body + said[0]
    assert "hunter2" not in (team.home / "mail/events.jsonl").read_text()


def test_a_remote_that_hangs_holds_up_nothing(team, remote, monkeypatch):
    """The sprint ends while a push is under way; its end waits for that only for a while."""
    monkeypatch.setattr(pushing, "_LAST", 0.2)
    hook(remote, f"while [ ! -e {remote}/go ]; do sleep 0.05; done")
    assert team.sprint(SCRIPTS, setting()).converged
    assert not git(remote, "for-each-ref", f"refs/heads/{BRANCH}")
    (remote / "go").touch()
    for thread in threading.enumerate():
        if thread.name == "pushes":
            thread.join()
    assert git(remote, "rev-parse", BRANCH) == team.git("rev-parse", BRANCH)
