"""A log that lost its last events, or is another one: what git and a backup know, by the command as people run it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from team_mail.mail.archive.backup import backup
from team_mail.mail.archive.witness import Known, known_to_git, lost
from team_mail.mail.log.blobs import FileBlobs
from team_mail.mail.log.event import Draft, Event
from team_mail.mail.log.log import EventLog
from team_mail.scheduler.weaver.commit import write_commit
from team_mail.scheduler.weaver.patch import PatchSubmission

from ...console import run_command

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("TEAM_", "_TEAM", "GIT_"))}
IDENTITY = {
    f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "u"), ("EMAIL", "u@u"))
}


class Repository:
    """A repository with a team, and what the weaver does in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / ".team"
        folder.mkdir(exist_ok=True)
        self.git("init", "-q", "-b", "main")
        self.git("commit", "-q", "--allow-empty", "-m", "Begin")

    @property
    def log(self) -> EventLog:
        return EventLog(self.home / "mail", segment_bytes=4000)

    def git(self, *words: str, stdin: bytes | None = None) -> str:
        done = subprocess.run(
            ["git", "-C", self.folder, *words], input=stdin, capture_output=True, check=True, env=CLEAN | IDENTITY
        )
        return done.stdout.decode().strip()

    def append(self, count: int = 1) -> Event:
        for _ in range(count):
            (event,) = self.log.append([Draft("mail.sent", "ann", ("bob",), "work", "x" * 200)])
        return event

    def weave(self, event: Event, branch: str = "team/sprint-1") -> None:
        """Commit on the branch as the weaver does for the patch of this event."""
        names = self.git("branch", "--list", branch)
        parent = self.git("rev-parse", branch if names else "main")
        patch = PatchSubmission(
            key="run-1",
            persona="ann",
            base=parent,
            patch=b"",
            age=1,
            subject="work",
            when="2026-11-20T12:00:00+00:00",
            trailers=(("Team-Mail-Run", "run-1"), ("Team-Mail-Head", f"{event.seq}:{event.hash}")),
        )
        tree = self.git("rev-parse", f"{parent}^{{tree}}")

        def write(kind: str, data: bytes) -> str:
            return self.git("hash-object", "-w", "-t", kind, "--stdin", stdin=data)

        self.git("branch", "-f", branch, write_commit(write, patch, tree, [parent]))

    def keep(self) -> None:
        """Keep the sprint's branch as the weaver does, which is known whatever becomes of the branch."""
        for name, commit in (("base", "main"), ("tip", "team/sprint-1")):
            self.git("update-ref", f"refs/team/sprint-1/{name}", self.git("rev-parse", commit))

    def verify(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return run_command("team-mail", "verify", *words, cwd=self.folder, env=CLEAN, timeout=60)


@pytest.fixture
def repository(tmp_path):
    """A team with a few segments of mail, and two commits of its weaver."""
    repository = Repository(tmp_path / "work")
    repository.weave(repository.append(5))
    repository.weave(repository.append(20))
    assert len(list(repository.log.segments)) > 2
    return repository


def cut_to(log: EventLog, seq: int) -> None:
    """Leave the events up to `seq`, as if the later files and lines had never been."""
    for segment in log.segments:
        if segment.last > seq:
            segment.path.unlink()
            log.active.unlink(missing_ok=True)
            if segment.first > seq:
                continue
            raise AssertionError("choose a seq that ends a segment")
    log.segments.sums.unlink()


def test_a_log_that_git_agrees_with_verifies(repository):
    """Events after the last that git knows are no loss, and the trailers of all segments are found."""
    repository.append(3)
    done = repository.verify()
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(known_to_git(repository.home)) == 2
    assert lost(repository.log, known_to_git(repository.home)) == []


def test_segments_deleted_together_with_the_active_file_are_told(repository):
    """The rest of the log is whole, so only git can know."""
    first = next(iter(repository.log.segments))
    head = repository.log.head()
    cut_to(repository.log, first.last)
    assert repository.log.verify().damage == []
    done = repository.verify()
    assert done.returncode == 5
    said = done.stdout.decode().splitlines()[-1]
    assert said == f"git knows event {head.seq} ({head.hash}), and the log ends at {first.last}: later events were lost"
    (error,) = done.stderr.decode().splitlines()
    assert "backup --restore" in error
    (loss,) = json.loads(repository.verify("--json").stdout)["lost"]
    assert loss == {"known_to": "git", "seq": head.seq, "hash": head.hash, "head": first.last}


def test_a_log_begun_anew_is_told(repository):
    """All mail was deleted and a new log has grown longer than the old one: its events are others."""
    shutil.rmtree(repository.home / "mail")
    assert repository.verify().returncode == 5  # before the first mail, too
    repository.append(40)
    done = repository.verify()
    assert done.returncode == 5
    assert "the log has another there: this is another log" in done.stdout.decode()


def test_a_loss_that_a_person_accepts_is_not_told_again(repository):
    """Without a backup the team goes on; what is lost later is told."""
    cut_to(repository.log, next(iter(repository.log.segments)).last)
    assert repository.verify().returncode == 5
    run_command("team-mail", "repair", cwd=repository.folder, env=CLEAN, timeout=60)
    assert repository.verify().returncode == 5
    done = run_command("team-mail", "repair", "--accept-loss", cwd=repository.folder, env=CLEAN, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"1 event recorded as lost" in done.stdout
    assert repository.verify().returncode == 0
    repository.append(40)
    repository.weave(repository.append(), "team/sprint-2")
    assert repository.verify().returncode == 0
    (*_, last) = repository.log.segments
    cut_to(repository.log, last.first - 1)
    assert repository.verify().returncode == 5


def test_what_the_team_keeps_is_known_though_its_branch_is_pushed_or_deleted(repository, tmp_path):
    """What a remote has may be another team's, but not what is kept here."""
    repository.keep()
    subprocess.run(["git", "clone", "-q", "--bare", repository.folder, tmp_path / "origin"], check=True, env=CLEAN)
    repository.git("remote", "add", "origin", str(tmp_path / "origin"))
    repository.git("fetch", "-q", "origin")
    assert repository.verify().returncode == 0
    cut_to(repository.log, next(iter(repository.log.segments)).last)
    assert repository.verify().returncode == 5
    repository.git("branch", "-D", "team/sprint-1")
    assert repository.verify().returncode == 5
    repository.git("update-ref", "-d", "refs/team/sprint-1/tip")
    assert repository.verify().returncode == 0


def test_a_patch_on_a_branch_that_the_log_does_not_call_landed_is_told(repository):
    """The branch moves after the event, so the log lost it; before the branch has moved, that is a crash."""
    log, captured = repository.log, Draft("patch.captured", "scheduler", run="run-1", data={"patch": {"size": 1}})
    (event,) = log.append([captured])
    main = repository.git("rev-parse", "main")
    repository.weave(event)
    repository.keep()
    done = repository.verify()
    assert done.returncode == 5
    assert b"git has the patch of run run-1 on a branch, and the log ends before it landed" in done.stdout
    repository.git("branch", "-f", "team/sprint-1", main)
    assert repository.verify().returncode == 0
    repository.git("merge", "-q", "--ff-only", "refs/team/sprint-1/tip")
    assert repository.verify().returncode == 5
    log.append([Draft("patch.landed", "weaver", ref="run-1")])
    assert repository.verify().returncode == 0


def test_a_backup_knows_more_than_a_log_that_was_cut(repository, tmp_path):
    """With a backup the loss is told where there is no git, and the backup mends it."""
    shutil.rmtree(repository.folder / ".git")
    log = repository.log
    for target in (tmp_path / "b.tar.gz", tmp_path / "b"):
        backup(log, FileBlobs(log.folder / "blobs"), target)
    repository.append(2)
    head = log.head().seq
    for target in (tmp_path / "b.tar.gz", tmp_path / "b"):
        assert repository.verify("--against", str(target)).returncode == 0
    cut_to(log, next(iter(log.segments)).last)
    assert repository.verify().returncode == 0
    for target in (tmp_path / "b.tar.gz", tmp_path / "b"):
        done = repository.verify("--against", str(target))
        assert done.returncode == 5
        assert f"{target} knows event {head - 2} (" in done.stdout.decode()
    shutil.move(log.folder, tmp_path / "away")
    words = ("backup", "--restore", str(tmp_path / "b"))
    assert run_command("team-mail", *words, cwd=repository.folder, env=CLEAN, timeout=60).returncode == 0
    assert repository.verify("--against", str(tmp_path / "b.tar.gz")).returncode == 0


@pytest.mark.parametrize("what", ["missing", "text", "empty"])
def test_what_is_no_backup_is_refused(repository, tmp_path, what):
    """One line says so."""
    target = tmp_path / ("empty" if what == "empty" else "b.tar.gz")
    if what == "text":
        target.write_text("text")
    elif what == "empty":
        target.mkdir()
    done = repository.verify("--against", str(target))
    assert done.returncode in {2, 5}
    assert len(done.stderr.decode().splitlines()) == 1


def test_commits_of_other_teams_are_no_evidence(repository, tmp_path):
    """What was fetched, picked or committed by others may name the events of another log."""
    theirs = Repository(tmp_path / "theirs")
    theirs.weave(theirs.append(60))
    theirs.git("branch", "-f", "done", "team/sprint-1")
    theirs.git("checkout", "-q", "--detach", "done")
    repository.git("remote", "add", "origin", str(theirs.folder))
    repository.git("fetch", "-q", "origin")
    repository.git("branch", "merged", "origin/done")
    repository.git("cherry-pick", "--allow-empty", "origin/team/sprint-1")
    assert "Team-Mail-Head" in repository.git("log", "-1", "--format=%B", "main")
    assert repository.verify().returncode == 0


def test_a_clone_whose_team_is_new_is_not_accused(repository, tmp_path):
    """A colleague clones the repository and begins a team of his own."""
    subprocess.run(["git", "clone", "-q", repository.folder, tmp_path / "clone"], check=True, env=CLEAN)
    clone = Repository(tmp_path / "clone")
    clone.git("branch", "team/sprint-1", "origin/team/sprint-1")
    clone.append()
    assert clone.verify().returncode == 0


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("no repository", ""),
        ("one without commits", ""),
        ("a broken one", "team-mail: git cannot be asked: fatal: not a git repository"),
        ("another owner's", "team-mail: git cannot be asked: fatal: detected dubious ownership"),
        ("no git", "team-mail: git cannot be asked: No such file or directory"),
    ],
)
def test_a_history_that_cannot_be_asked_is_told(tmp_path, where, told):
    """The log is verified as ever; where git may know more of it, silence would be a false all-clear."""
    home = tmp_path / ".team"
    EventLog(home / "mail").append([Draft("mail.sent", "ann", ("bob",), "work")])
    if where == "a broken one":
        (tmp_path / ".git").mkdir()
    elif where != "no repository":
        subprocess.run(["git", "init", "-q", tmp_path], check=True, env=CLEAN)
    if where == "another owner's":
        if os.getuid() != 0:
            pytest.skip("only root can give files away")
        os.chown(tmp_path / ".git", 1234, 1234)
        os.chown(tmp_path, 1234, 1234)
    path = {"PATH": "/nowhere"} if where == "no git" else {}
    done = run_command("team-mail", "verify", cwd=tmp_path, env=CLEAN | {"TEAM_HOME": str(home)} | path, timeout=60)
    assert done.returncode == 0
    assert done.stderr.decode().startswith(told)
    assert bool(done.stderr) == bool(told)


def test_each_known_event_is_looked_for_in_its_own_file(repository):
    """Of any events that are asked for, exactly the altered ones are lost."""
    events = list(repository.log.read())
    right = [Known(event.seq, event.hash) for event in events]
    wrong = [Known(event.seq, event.prev) for event in events[1:]]
    assert lost(repository.log, right) == []
    assert [each.event for each in lost(repository.log, [*right, *wrong])] == wrong
    assert [each.event.seq for each in lost(repository.log, [Known(len(events) + 1, right[0].hash)])] == [
        len(events) + 1
    ]


def test_in_a_shallow_repository_what_was_fetched_before_stops_nobody(tmp_path):
    """Where the history is cut, commits of another team are under no remote branch; its own refs still tell."""
    theirs = Repository(tmp_path / "theirs")
    theirs.weave(theirs.append(30))
    theirs.git("merge", "-q", "--ff-only", "team/sprint-1")
    theirs.git("branch", "-d", "team/sprint-1")
    ours = Repository(tmp_path / "ours")
    ours.git("remote", "add", "origin", f"file://{theirs.folder}")
    ours.git("fetch", "-q", "origin")
    ours.git("reset", "-q", "--hard", "origin/main")
    ours.append(2)
    assert (ours.verify().returncode, ours.verify().stderr) == (0, b"")

    theirs.git("commit", "-q", "--allow-empty", "-m", "More")
    ours.git("fetch", "-q", "--depth=1", "origin")
    done = ours.verify()
    assert (done.returncode, done.stderr.count(b"git fetch --unshallow")) == (0, 1)

    ours.weave(ours.append(30))
    ours.keep()
    shutil.rmtree(ours.home / "mail")
    assert ours.verify().returncode == 5
