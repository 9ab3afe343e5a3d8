"""Sprints, dispatches and weaves in repositories of every kind; docs/repositories.md has a row for each."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest

from .test_scheduler import CLEAN, NAMES, Project, project
from .test_surroundings import alone

__all__ = ["project"]


def partial(project: Project, filter: str) -> Project:
    """Clone a project without the contents that its checkout of the top folder does not need.

    The remote speaks ssh: git's reading of one object after the other, which it allows with a folder, fetches nothing.
    """
    alone(project)
    for name in ("old/deep/b.txt", "old/a.txt"):
        (project.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (project.folder / name).write_text(f"this is {name}\n")
    (project.folder / "old/long.txt").write_text("".join(f"{number}\n" for number in range(9)))
    project.git("add", "--force", ".")
    project.git("commit", "--quiet", "-m", "Add files")
    project.git("config", "uploadpack.allowFilter", "true")
    project.git("config", "uploadpack.allowAnySHA1InWant", "true")
    clone = Project(project.folder.with_name(f"clone-{filter.partition(':')[0]}"))
    ssh = ("--config", "ssh.variant=simple", "--config", """core.sshCommand=sh -c 'eval "$1"'""")
    source = f"ssh://remote{project.folder}"
    project.git("clone", "--quiet", *ssh, f"--filter={filter}", "--no-checkout", source, str(clone.folder))
    clone.git("sparse-checkout", "set", "--cone", ".team")
    clone.git("checkout", "--quiet", "main")
    return clone


@pytest.mark.parametrize("filter", ["blob:none", "tree:0"])
def test_a_partial_clone_gets_the_files_of_its_base_before_a_run_starts(project, filter):
    """What the remote promised is fetched at once; if the remote is gone, no run is spent on it and a line says so."""
    clone, away = partial(project, filter), project.folder.with_name("away")
    work = "cat old/a.txt old/deep/b.txt > seen.txt; echo own >> old/long.txt; git add .; git commit -qm Done"
    clone.agent(f"cat > /dev/null; {work}")
    shutil.move(project.folder, away)

    said = clone.run("scheduler", "sprint", "--quiet")

    assert said.returncode == 2
    assert "this is a partial clone, in which" in said.stderr
    assert "see that git fetch works here" in said.stderr
    assert clone.events("run.started", "run.finished") == []

    shutil.move(away, project.folder)
    assert clone.document("sprint")["landed"] == ["ann"]
    assert clone.git("show", "team/sprint-1:seen.txt") == "this is old/a.txt\nthis is old/deep/b.txt"
    assert not (clone.folder / "old").exists(), "the user's own checkout stays sparse"

    (project.folder / "old/long.txt").write_text("top\n" + (project.folder / "old/long.txt").read_text())
    project.git("commit", "--quiet", "--all", "-m", "Add a line")
    clone.git("checkout", "--quiet", "--detach")
    clone.git("fetch", "--quiet", "origin", "main:main")
    clone.ok("team-mail", "send", "--to", "ann", "-s", "More", "-b", "Go on.")
    clone.ok("scheduler", "tick")
    long = clone.git("show", "team/sprint-2:old/long.txt").split()
    assert (long[0], long[-1]) == ("top", "own"), "what had landed is merged with what was fetched"


@pytest.mark.parametrize("filter", ["blob:none", "tree:0"])
def test_patches_are_woven_by_hand_in_a_partial_clone(project, tmp_path, filter):
    """A merge needs the contents of the base and of the branch, a pull request what it changes; they are fetched."""
    clone = partial(project, filter)
    patch = tmp_path / "own.patch"
    (project.folder / "old/a.txt").write_text("this is another\n")
    patch.write_text(project.git("diff") + "\n")
    project.git("commit", "--quiet", "--all", "-m", "Change a file")
    clone.git("fetch", "--quiet", "origin", "main:refs/pull/7/head")
    assert "1 land" in clone.ok("scheduler", "weave", "refs/pull/7/head", "--branch", "pulled")
    assert clone.git("show", "pulled:old/a.txt") == "this is another"
    assert "1 land" in clone.ok("scheduler", "weave", str(patch))
    assert "?" not in clone.git("rev-list", "--objects", "--no-walk", "--missing=print", "HEAD")
    assert clone.git("show", "team/woven:old/a.txt") == "this is another"


# -- where git finds no repository, or none that it can use


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("rm .git/HEAD", "/.git is there, and git says: not a git repository"),
        ("git config core.repositoryformatversion 99", "Expected git repo version <= 1, found 99"),
        ("chown -R 12345:12345 .", "git config --global --add safe.directory"),
        ("rm -r .git", "there is no git repository here, so tasks would work in empty folders"),
        ("rm -r .git; git init -q --bare .git; cd .git; mv ../.team .", "is in a bare git repository"),
    ],
    ids=["damaged", "later-format", "owner", "none", "bare"],
)
def test_a_dispatch_works_in_no_empty_folder_unless_it_is_asked_to(project, harm, said):
    """Git's own words are shown for a repository that it cannot use; no task is carried out beside it."""
    project.agent("cat > /dev/null; echo seen > $HOME/seen")
    home = project.folder.parent
    (home / "tasks.json").write_text('{"tasks": [{"task_id": "a", "agent": "ann"}]}')
    subprocess.run(["sh", "-c", harm], cwd=project.folder, env=CLEAN, check=True)
    if not project.team.exists():
        project.folder = project.folder / ".git"
    if "chown" in harm and os.geteuid():
        pytest.skip("only root can give a repository away")

    dispatched = project.run("team", "dispatch", str(home / "tasks.json"), "--json", HOME=str(home))

    assert dispatched.returncode == 2
    assert said in dispatched.stderr
    assert not (home / "seen").exists()
    if "init" not in harm:
        assert "git init" not in dispatched.stderr
        assert ("safe.directory" in said) == ("safe.directory" in project.run("scheduler", "sprint").stderr)
        words = ("team", "dispatch", str(home / "tasks.json"), "--no-repository", "--quiet")
        assert project.run(*words, HOME=str(home)).returncode == 0
        assert (home / "seen").exists()


def test_a_bare_repository_is_woven_by_hand_and_what_is_held_is_approved_by_name(project, tmp_path):
    """By the name of its file, by its ref, or all of them; an unknown name is refused with those that there are."""
    project.git("clone", "--quiet", "--bare", str(project.folder), str(tmp_path / "bare.git"))
    bare = Project(tmp_path / "bare.git")
    patches = []
    for name in ("ci", "own"):
        file = project.folder / ".github" / "workflows" / f"{name}.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("on: push\n")
        project.git("add", ".github")
        patches.append(tmp_path / f"{name}.patch")
        patches[-1].write_text(project.git("diff", "--cached") + "\n")
        project.git("rm", "-rfq", ".github")
    words = ("scheduler", "weave", *map(str, patches))

    held = bare.ok(*words, "--dry-run", code=4)
    assert "held     ci: .github/workflows/ci.yml needs approval" in held
    assert "lands with --approve NAME" in held
    unknown = bare.run(*words, "--approve", "cy").stderr
    assert "no patch 'cy' to approve: name one of ci.patch, own.patch, or all" in unknown
    bare.ok(*words, "--branch", "one", "--approve", "ci.patch", code=4)
    bare.ok(*words, "--branch", "both", "--approve", "ci", "--approve", "own.patch")
    bare.ok(*words, "--branch", "each", "--approve", "all")
    landed = [bare.git("ls-tree", "-r", "--name-only", branch).count(".github") for branch in ("one", "both", "each")]
    assert landed == [1, 2, 2]


# -- line endings, worktrees, ids


def test_only_what_its_user_changed_is_said_to_be_not_committed(project):
    """Not files whose time is new, with line endings that git converts."""
    alone(project)
    project.git("config", "core.autocrlf", "true")
    (project.folder / "crlf.txt").write_bytes(b"one\r\ntwo\r\n")
    project.git("add", "crlf.txt")
    project.git("commit", "--quiet", "-m", "Add a file")
    os.utime(project.folder / "crlf.txt", (1_000_000_000, 1_000_000_000))
    assert "not committed" not in project.run("scheduler", "sprint").stderr
    (project.folder / "list.txt").write_text("changed\n")
    assert "changes to 1 file are not committed" in project.run("scheduler", "sprint").stderr


def test_all_that_a_team_does_is_done_in_a_repository_with_sha256_ids(project, tmp_path):
    """Runs, a conflict, a gate, landing, a dispatch and a weave by hand; no id of other length is written anywhere."""
    shutil.rmtree(project.folder / ".git")
    project.git("init", "--quiet", "--initial-branch=main", "--object-format=sha256")
    project.git("add", "list.txt")
    project.git("commit", "--quiet", "-m", "Begin")
    script = (
        "cat > /dev/null; sed -i '1s/.*/{persona} was first, in attempt {attempt}/' list.txt; rm -rf .team/run/conflict"
    )
    project.agent(script, '[gates.ok]\ncommand = ["true"]\n')
    done = project.document("sprint", "--set", "sprint.max_attempts=1", code=4)
    assert done["conflicts"] >= 1
    assert len(done["landed"]) >= 1
    project.ok("scheduler", "land", "1")
    assert len(project.git("rev-parse", "main")) == 64
    assert "was first" in project.git("show", "main:list.txt")
    project.agent("cat > /dev/null; echo {persona} > {persona}.txt")
    (tmp_path / "tasks.json").write_text('{"tasks": [{"task_id": "a", "agent": "ann"}]}')
    assert json.loads(project.ok("team", "dispatch", str(tmp_path / "tasks.json")))["status"] == "success"
    project.git("diff", f"--output={tmp_path / 'own.patch'}", "main~1", "main")
    project.ok("scheduler", "weave", "--base", "main~1", str(tmp_path / "own.patch"))
    project.git("fsck", "--strict")
    assert not re.search(rb"[^0-9a-f]0{40}[^0-9a-f]", project.log())


# -- signatures


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is not installed")
def test_what_lands_is_signed_where_git_asks_for_it_and_else_a_mail_says_that_it_is_not(project, tmp_path):
    """With a key of ssh; without one the commits land all the same, and one mail has git's own words."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (tmp_path / "allowed").write_text(f"ada@example.org {key.with_suffix('.pub').read_text()}")
    for name, value in {"commit.gpgSign": "true", "gpg.format": "ssh", "user.signingKey": str(key)}.items():
        project.git("config", name, value)
    project.git("config", "gpg.ssh.allowedSignersFile", str(tmp_path / "allowed"))
    project.agent(more='[gates.ok]\ncommand = ["true"]\n')

    assert sorted(project.document("sprint")["landed"]) == [*NAMES]

    signers = sorted(project.git("log", "--format=%G? %GS %an %cn", "main..team/sprint-1").splitlines())
    assert signers == [f"G ada@example.org {name} weaver" for name in NAMES]
    landed = [event["data"]["commit"] for event in project.events("patch.landed")]
    assert landed == project.git("rev-list", "--reverse", "main..team/sprint-1").split()
    project.git("fsck", "--strict", "team/sprint-1")

    key.unlink()
    key.with_suffix(".pub").unlink()
    assert sorted(project.document("sprint")["landed"]) == [*NAMES]
    assert {*project.git("log", "--format=%G?", "team/sprint-1..team/sprint-2").split()} <= {"N"}
    (mail,) = [e for e in project.events("mail.sent") if "unsigned" in e["data"].get("subject", e.get("subject", ""))]
    assert "git commit-tree -S" in json.dumps(mail)
    (told,) = [e["data"]["unsigned"] for e in project.events("weave.done") if "unsigned" in e["data"]]
    assert str(key) in told


# -- large ones


def test_runs_work_in_some_folders_of_the_repository(project):
    """`[workspace] sparse` for all, `sparse` of a persona for one; a file elsewhere can be made, and is no deletion."""
    for name in ("api/a.txt", "api/v1/b.txt", "docs/c.txt", "web/deep/d.txt", "web/deep/e/f.txt"):
        (project.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (project.folder / name).write_text(f"{name}\n")
    project.git("add", "--force", "api", "docs", "web")
    project.git("commit", "--quiet", "-m", "Add files")
    persona = "---\nid: bob\nsparse: [web/deep]\n---\nMind your files.\n"
    (project.team / "personas" / "bob.md").write_text(persona)
    (project.team / "personas" / "cyd.md").write_text(persona.replace("bob", "cyd").replace("[web/deep]", "[]"))
    script = (
        "cat > /dev/null; git ls-files -z | xargs -0 ls -d 2>/dev/null | tr '\\n' ' ' > {persona}.txt; "
        "git status --porcelain >> {persona}.txt; mkdir -p docs web; echo new > docs/{persona}.txt; "
        "[ {persona} = ann ] && { mkdir -p web/deep && echo changed > web/deep/d.txt; rm api/v1/b.txt; "
        "git add --sparse .; git commit -qm Done; }; true"
    )
    project.agent(
        script, '[workspace]\nsparse = ["api", "missing/folder"]\n[gates.ok]\ncommand = ["ls", "api/a.txt"]\n'
    )

    assert sorted(project.document("sprint")["landed"]) == [*NAMES]

    seen = {name: project.git("show", f"team/sprint-1:{name}.txt") for name in NAMES}
    assert seen == {
        "ann": "api/a.txt api/v1/b.txt list.txt ?? ann.txt",
        "bob": "list.txt web/deep/d.txt web/deep/e/f.txt ?? bob.txt",
        "cyd": "api/a.txt api/v1/b.txt docs/c.txt list.txt web/deep/d.txt web/deep/e/f.txt ?? cyd.txt",
    }
    changed = project.git("diff", "--name-status", "--no-renames", "main", "team/sprint-1").split("\n")
    new = [f"A\t{place}{name}.txt" for place in ("", "docs/") for name in NAMES]
    assert sorted(changed) == sorted(["D\tapi/v1/b.txt", "M\tweb/deep/d.txt", *new])
    assert project.git("show", "team/sprint-1:web/deep/d.txt") == "changed"
    runs = {event["data"]["persona"]: event["run"] for event in project.events("run.started")}
    told = {name: (project.team / "runs" / runs[name] / "prompt.md").read_text() for name in NAMES}
    assert "files in the folders above them: `api`, `missing/folder`." in told["ann"]
    assert "files in the folders above them: `web/deep`." in told["bob"]
    assert "folders above them" not in told["cyd"]


def test_a_sparse_run_in_a_partial_clone_fetches_what_it_needs(project):
    """Of the base's files only those in its folders, and all trees."""
    clone = partial(project, "tree:0")
    clone.agent("cat > /dev/null; cat old/deep/b.txt > seen.txt", '[workspace]\nsparse = ["old/deep"]\n')
    (project.folder / "big").mkdir()
    (project.folder / "big/c.txt").write_text("large\n")
    project.git("add", "big")
    project.git("commit", "--quiet", "-m", "Add a large file")
    clone.git("pull", "--quiet")
    assert clone.document("sprint")["landed"] == ["ann"]
    missing = clone.git("rev-list", "--objects", "--missing=print", "--no-walk", "main").split("\n")
    assert [row for row in missing if row.startswith("?")] == [f"?{project.git('rev-parse', 'main:big/c.txt')}"]
