"""Commits reach the hosts that lack them: over a remote, or by bundles in the team's blobs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from team_mail.personas.errors import NotPrepared
from team_mail.scheduler.errors import NotReady
from team_mail.scheduler.hosts import bases
from team_mail.scheduler.hosts.bases import fetch_base, offer_base
from team_mail.team.open import open_on_host

from ...conftest import Team, git


@pytest.fixture
def leader(tmp_path, poem):
    """A team in a repository, on the host that leads."""
    git(tmp_path, "clone", "--quiet", str(poem), "a")
    git(tmp_path / "a", "remote", "remove", "origin")
    team = Team(tmp_path / "a")
    team.home.mkdir()
    return team


def host(leader, name, settings=""):
    """Return the context of another host without a clone, which has the leader's mail, as on a server."""
    home = leader.folder.parent / name / ".team"
    home.mkdir(parents=True)
    (home / "team.toml").write_text('[agents.shell]\ncommand = ["true"]\n' + settings)
    return replace(open_on_host(home, {}), mailbox=leader.context().mailbox)


def commit(leader, text):
    """Commit a change of the poem, and return the commit."""
    (leader.folder / "poem.txt").write_text(text)
    git(leader.folder, "commit", "--quiet", "-am", text)
    return git(leader.folder, "rev-parse", "HEAD")


def poem_at(context, base, run="run-1"):
    """Return the poem as a workspace of a commit has it."""
    workspace = context.mirror.workspace(run, base)
    text = (workspace.path / "poem.txt").read_text()
    git(workspace.path, "log", "--stat")
    workspace.remove()
    return text


def size(context, blob):
    """Return how many bytes a bundle has."""
    return sum(len(context.mailbox.blobs.read(part)) for part in parts(context, blob)["parts"])


def parts(context, blob):
    """Return what a blob says of a bundle."""
    return json.loads(context.mailbox.blobs.read(blob))


def test_a_host_without_a_clone_follows_by_bundles_of_what_is_new(leader):
    """The first bundle has all; those after it have what changed, and workspaces can be made of each."""
    context, worker = leader.context(), host(leader, "b")
    with pytest.raises(NotReady, match="no clone of the repository"):
        worker.git("log")
    sizes = []
    for text in ("one\n", "two\n", "three\n"):
        base = commit(leader, text)
        blob = offer_base(context, base)
        assert offer_base(context, base) == blob
        fetch_base(worker, base, blob)
        assert poem_at(worker, base) == text
        sizes.append(size(context, blob))
    assert sizes[1] < 600, f"a bundle of one commit has {sizes[1]} bytes, and of all {sizes[0]}"
    assert worker.git.line("for-each-ref", "--format=%(objectname)", "refs/team-mail/bases") == base


def test_a_host_that_is_new_takes_all_bundles_that_lead_to_a_commit(leader, monkeypatch):
    """Also after so many that a bundle builds on the first one again, and after the record of offers is lost."""
    monkeypatch.setattr(bases, "_LONGEST", 3)
    context = leader.context()
    blobs = [(base := commit(leader, f"{number}\n"), offer_base(context, base)) for number in range(6)]
    assert [parts(context, blob)["number"] for _, blob in blobs] == [0, 1, 2, 1, 2, 1]
    for number, (base, blob) in enumerate(blobs):
        worker = host(leader, f"b{number}")
        fetch_base(worker, base, blob)
        assert poem_at(worker, base) == f"{number}\n"
    older = git(leader.folder, "rev-parse", "HEAD~2")
    blob = offer_base(context, older)
    fetch_base(worker, older, blob)
    assert poem_at(worker, older) == "3\n"


def test_a_remote_serves_what_it_has_and_bundles_what_it_lacks(leader):
    """So a leader that has not pushed what was woven can still offer it, in a few bytes."""
    bare = leader.folder.parent / "app.git"
    git(leader.folder, "clone", "--quiet", "--bare", ".", str(bare))
    setting = f'[workspace]\nremote = "{bare}"\n'
    context, first = leader.context(settings=setting), git(leader.folder, "rev-parse", "HEAD")
    assert not offer_base(context, first)
    worker = host(leader, "b", setting)
    fetch_base(worker, first, "")
    assert poem_at(worker, first).startswith("line 0\n")
    assert "refs/remotes/origin/main" in (worker.mirror.folder / "mirror.git/names").read_text()

    second = commit(leader, "two\n")
    blob = offer_base(context, second)
    assert size(context, blob) < 600
    for name in ("c", "d"):
        fresh = host(leader, name, setting)
        fetch_base(fresh, second, blob)
        assert poem_at(fresh, second) == "two\n"
    with pytest.raises(NotPrepared, match=r"could not fetch it from .*app\.git .*git --git-dir=.* fetch .*"):
        fetch_base(worker, commit(leader, "three\n"), "")
