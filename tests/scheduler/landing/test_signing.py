"""Signatures on what landed: who asks for them, and what becomes of commits that name each other."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from team_mail.scheduler.landing.signing import signed
from team_mail.scheduler.weaver.weave import weave

from ..project import Project, lines


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is not installed")
def test_the_settings_of_the_team_decide_before_those_of_git(tmp_path):
    """True signs, False does not, None does as commit.gpgSign says; each commit names the signed one before it."""
    project = Project(tmp_path / "project", {"a.txt": lines(), "b.txt": lines()})
    edits = {"ann": {"a.txt": lines((1, "x"))}, "bob": {"b.txt": lines((1, "y"))}, "cyd": {"a.txt": lines((1, "z"))}}
    woven = weave(project.git, project.base, [project.submission(name, edit) for name, edit in edits.items()])
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    for name, value in {"gpg.format": "ssh", "user.signingKey": str(key)}.items():
        project.git("config", name, value)

    assert signed(project.git, woven, None) == signed(project.git, woven, False) == woven
    done = signed(project.git, woven, True)
    project.git("config", "commit.gpgSign", "true")
    assert [each.how for each in signed(project.git, woven, None).landed] == ["apply", "apply"]

    assert project.git.line("rev-list", "--reverse", f"{project.base}..{done.tip}").split() == [
        each.commit for each in done.landed
    ]
    for old, new in zip(woven.landed, done.landed, strict=True):
        before, after = (project.git.line("cat-file", "commit", each.commit) for each in (old, new))
        assert "\ngpgsig -----BEGIN SSH SIGNATURE-----\n" in after
        assert before.partition("\n\n")[2] == after.partition("\n\n")[2]
        assert [row for row in before.splitlines()[:4] if not row.startswith("parent")] == [
            row for row in after.splitlines()[:4] if not row.startswith("parent")
        ]
    assert done.conflicted[0].tip == done.tip
    assert {commit for hunk in done.conflicted[0].hunks for _, commit, _ in hunk.landed_by} == {done.landed[0].commit}
    key.unlink()
    failed = signed(project.git, woven, True)
    assert str(key) in failed.unsigned
    assert failed.landed == woven.landed
