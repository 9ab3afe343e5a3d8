"""Branches that others move, delete or check out: where the work goes on, and that git keeps what the log calls landed.

The rows of "Branches and refs" in docs/repositories.md name these tests.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from team_mail.mail.letter import Letter
from team_mail.mail.log.log import EventLog
from team_mail.personas.git import Git, find_repository
from team_mail.scheduler.errors import BranchLost, BranchMoved
from team_mail.scheduler.landing.branch import standing
from team_mail.scheduler.landing.checkouts import fast_forward
from team_mail.scheduler.state.facts import Sprint

from ...conftest import git, run_batch

BRANCH = "team/sprint-1"


class Line:
    """A repository of four commits on main: the base, two that were woven, and one on top of a moved main."""

    def __init__(self, folder: Path, form: str) -> None:
        self.folder = folder
        folder.mkdir()
        self.run("init", "--quiet", "--initial-branch=main", f"--object-format={form}")
        self.base, self.first, self.second = (self.commit(name) for name in ("base", "first", "second"))
        self.run("update-ref", f"refs/heads/{BRANCH}", self.second)
        self.run("update-ref", "refs/team/sprint-1/tip", self.second)
        self.run("reset", "--quiet", "--hard", self.base)
        self.newer = self.commit("newer")
        self.git: Git = find_repository(folder)[0]

    def run(self, *words: str) -> str:
        return git(self.folder, *words)

    def commit(self, name: str, folder: Path | None = None) -> str:
        folder = folder or self.folder
        (folder / f"{name}.txt").write_text(f"{name}\n")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", name)
        return git(folder, "rev-parse", "HEAD")

    def sprint(self, *commits: str) -> Sprint:
        return Sprint(1, "s", "main", self.base, BRANCH, "", "", "", (), "", commits=commits)

    def put(self, commit: str | None) -> None:
        self.run(
            "update-ref", *(["-d", f"refs/heads/{BRANCH}"] if commit is None else [f"refs/heads/{BRANCH}", commit])
        )

    def prune(self) -> None:
        self.run("reflog", "expire", "--expire=now", "--all")
        self.run("repack", "-adq")
        self.run("gc", "--quiet", "--prune=now")

    def look(self, *more: str) -> Path:
        """Check the branch out in a linked work tree."""
        place = self.folder.with_name(f"look{len(more)}")
        self.run("worktree", "add", "--quiet", *more, str(place), BRANCH)
        return place


@pytest.fixture(params=["sha1", "sha256"])
def line(request, tmp_path):
    return Line(tmp_path / "repository", request.param)


@pytest.fixture
def plain(tmp_path):
    return Line(tmp_path / "repository", "sha1")


def test_the_work_goes_on_from_what_is_there(line):
    """Behind, deleted, ahead: the log's commit or what contains it; moved, pruned: from the newest base, no tag."""
    done, zeros = line.sprint(line.first, line.second), "0" * len(line.base)
    assert standing(line.git, done) == (line.second, None)
    for behind in (line.first, line.base):
        line.put(behind)
        assert standing(line.git, done) == (line.second, behind)
    own = line.sprint(line.second)  # the first one is a person's, and its work tree was in the way of the second
    line.put(line.first)
    assert standing(line.git, own) == (line.second, line.first)
    line.put(None)
    line.prune()
    assert standing(line.git, done) == (line.second, zeros)
    line.run("merge", "--quiet", "--no-edit", line.second)
    merged = line.run("rev-parse", "main")
    assert standing(line.git, done) == (merged, zeros)
    line.put(merged)
    assert standing(line.git, done) == (merged, None)
    line.put(line.newer)
    with pytest.raises(BranchLost, match="does not contain") as lost:
        standing(line.git, done)
    assert lost.value.start == line.newer
    line.put(None)
    line.run("update-ref", "-d", "refs/team/sprint-1/tip")
    line.run("reset", "--quiet", "--hard", line.newer)
    line.run("tag", "main", line.base)
    line.prune()
    with pytest.raises(BranchLost, match="is gone, and so is") as lost:
        standing(line.git, done)
    assert lost.value.start == line.newer
    line.run("checkout", "--quiet", "--orphan", "other")
    line.run("commit", "--quiet", "-m", "Other")
    line.run("branch", "-D", "main")
    line.run("tag", "-d", "main")
    line.prune()
    with pytest.raises(BranchMoved, match="scheduler abandon 1") as moved:
        standing(line.git, done)
    assert not isinstance(moved.value, BranchLost)


def test_a_work_tree_that_has_the_branch_moves_with_it(line):
    """Every one of several; files that a crash has left where they are going are there already."""
    line.put(line.first)
    places = [line.look(), line.look("--force")]
    (places[0] / "untracked").write_text("mine\n")
    git(places[1], "read-tree", "-m", "-u", line.first, line.second)
    assert fast_forward(line.git, BRANCH, line.first, line.second, "test") is None
    assert line.run("rev-parse", BRANCH) == line.second
    assert [git(place, "status", "--porcelain") for place in places] == ["?? untracked", ""]
    assert [(place / "second.txt").exists() for place in places] == [True, True]


def changed(line: Line, place: Path) -> None:
    (place / "first.txt").write_text("mine\n")


def staged(line: Line, place: Path) -> None:
    (place / "mine.txt").write_text("mine\n")
    git(place, "add", ".")


def untracked(line: Line, place: Path) -> None:
    (place / "second.txt").write_text("mine\n")


def sparse(line: Line, place: Path) -> None:
    git(place, "sparse-checkout", "set", "--cone")
    untracked(line, place)


def merging(line: Line, place: Path) -> None:
    git(place, "merge", "--quiet", "--no-commit", "--strategy=ours", line.newer)


def rebasing(line: Line, place: Path) -> None:
    git(place, "-c", "sequence.editor=sed -i 1ibreak", "rebase", "--quiet", "-i", line.newer)


def picking(line: Line, place: Path) -> None:
    """A cherry-pick that ends empty, as one that conflicts does, where it has to be gone on with."""
    subprocess.run(["git", "cherry-pick", line.first], cwd=place, check=False, capture_output=True)


def bisecting(line: Line, place: Path) -> None:
    git(place, "bisect", "start")


def locked(line: Line, place: Path) -> None:
    (Path(git(place, "rev-parse", "--absolute-git-dir")) / "index.lock").touch()


def away(line: Line, place: Path) -> None:
    line.run("worktree", "lock", str(place))
    place.rename(place.with_name("away"))


@pytest.mark.parametrize(
    ("disturb", "why", "then"),
    [
        (changed, "files are changed there", "commit, stash or move away"),
        (staged, "changes are staged there", "commit, stash or move away"),
        (untracked, "second.txt", "commit, stash or move away"),
        (sparse, "second.txt", "commit, stash or move away"),
        (merging, "a merge is under way there", "git merge --abort"),
        (picking, "a cherry-pick is under way there", "git cherry-pick --continue"),
        (rebasing, "a rebase is under way there", "git rebase --continue"),
        (bisecting, "a bisection is under way there", "git bisect reset"),
        (locked, "its index is locked since 20", "index.lock"),
        (away, "it is locked, and away", "git worktree unlock"),
    ],
)
def test_a_branch_is_not_moved_under_work_that_is_going_on(plain, disturb, why, then):
    """Neither the branch nor a file of the work tree; it is said what goes on, and what to do about it."""
    plain.put(plain.first)
    place = plain.look()
    disturb(plain, place)
    there = place if place.exists() else place.with_name("away")
    before = plain.run("rev-parse", BRANCH), sorted(path.name for path in there.iterdir())
    way = fast_forward(plain.git, BRANCH, plain.first, plain.second, "test")
    assert way is not None
    assert way.place == str(place)
    assert why in way.why
    assert then in way.then
    assert (plain.run("rev-parse", BRANCH), sorted(path.name for path in there.iterdir())) == before


def lines_of(team) -> list[str]:
    """The lines of the poem on the sprint's branch that ann has changed."""
    return [text for text in team.text(BRANCH) if text.startswith("ann")]


def runs_of(team) -> list[str]:
    return team.git("log", "--format=%(trailers:key=Team-Mail-Run,valueonly)", f"main..{BRANCH}").split()


def test_a_sprint_goes_on_whatever_others_do_to_its_branch(team):
    """Each tick finds it moved, rebased, deleted or pruned, and all that landed is there again, once."""
    lines = iter(range(1, 20, 2))

    def play(job):
        number = next(lines)
        team.replaced(number, f"ann {number}")(job)

    ticker = team.ticker({"ann": play}, "[sprint]\nmax_attempts = 20\n")
    box = ticker.context.mailbox

    def tick(expected: int) -> None:
        box.send(Letter("you", ["ann"], f"{expected} more"))
        run_batch(ticker)
        assert len(lines_of(team)) == expected - 1
        assert len({*runs_of(team)}) == len(runs_of(team)) == expected - 1
        kept = team.git("for-each-ref", "--format=%(objectname)", "refs/team/sprint-1/tip")
        assert kept == (team.git("rev-parse", BRANCH) if expected > 1 else "")

    def newer() -> None:
        team.git("commit", "--quiet", "--allow-empty", "-m", "Meanwhile")

    tick(1)
    tick(2)
    newer()
    team.git("branch", "--force", BRANCH, "main")  # moved away: woven again onto the newest base
    tick(3)
    assert team.git("merge-base", "main", BRANCH) == team.git("rev-parse", "main")
    newer()
    team.git("rebase", "--quiet", "main", BRANCH)  # by hand: what is there is not landed again
    team.git("switch", "--quiet", "main")
    tick(4)
    team.git("branch", "--delete", "--force", BRANCH)
    team.git("reflog", "expire", "--expire=now", "--all")
    team.git("gc", "--quiet", "--prune=now")  # deleted: kept by the other ref
    tick(5)
    team.git("update-ref", "-d", f"refs/heads/{BRANCH}")
    team.git("update-ref", "-d", "refs/team/sprint-1/tip")
    team.git("update-ref", "-d", "refs/team/sprint-1/base")
    team.git("reflog", "expire", "--expire=now", "--all")
    team.git("gc", "--quiet", "--prune=now")  # pruned: from the patches
    tick(6)
    lost = [event.data for event in box.log.read() if event.kind == "weave.lost"]
    assert len(lost) == 3, json.dumps(lost)
    assert [mail.type for mail in box.inbox("you")] == ["fyi"] * 3


def test_a_branch_with_changes_in_a_checkout_stays_and_a_second_ref_has_what_lands(team):
    """One mail says so; the branch follows once the change is committed there, and nothing is lost."""
    ticker = team.ticker({"ann": team.replaced(3, "ann 3"), "bob": team.replaced(13, "ann 13")})
    run_batch(ticker)
    place = team.folder.with_name("look")
    team.git("worktree", "add", "--quiet", str(place), BRANCH)
    (place / "note.txt").write_text("mine\n")
    git(place, "add", ".")
    ticker.context.mailbox.send(Letter("you", ["cyd"], "go on"))
    run_batch(ticker)
    kept = team.git("rev-parse", "refs/team/sprint-1/tip")
    assert team.git("rev-parse", BRANCH) == team.git("rev-parse", "main") != kept
    assert git(place, "status", "--porcelain") == "A  note.txt"
    git(place, "commit", "--quiet", "-m", "Mine")
    run_batch(ticker)
    assert len(lines_of(team)) == 2
    assert (team.text(BRANCH, "note.txt"), git(place, "status", "--porcelain")) == (["mine"], "")
    subjects = [mail.subject for mail in ticker.context.mailbox.inbox("you") if mail.type == "escalate"]
    assert subjects == [f"{BRANCH} is checked out, and stays behind"]


@pytest.mark.parametrize("times", [1, 9])
def test_a_branch_that_is_moved_between_the_record_and_the_ref_is_woven_again(team, times):
    """At once, in the same tick; somebody who moves it every time is told of."""
    ticker, left = team.ticker({"ann": team.replaced(3, "ann 3"), "bob": team.replaced(13, "ann 13")}), [times]

    def moved(events):
        if left[0] and any(event.kind == "patch.landed" for event in events):
            left[0] -= 1
            team.git("commit", "--quiet", "--allow-empty", "-m", "Meanwhile")
            team.git("branch", "--force", BRANCH, "main")

    ticker.context = ticker.dispatcher.context = replace(ticker.context, on_append=moved)
    run_batch(ticker)
    if times > 1:
        with pytest.raises(BranchMoved, match="somebody moves team/sprint-1 while it is woven"):
            run_batch(ticker)
        left[0] = 0
    assert run_batch(ticker).plan.finish == "converged"
    assert (len(lines_of(team)), len({*runs_of(team)}), len(runs_of(team))) == (2, 2, 2)
    assert team.git("merge-base", "main", BRANCH) == team.git("rev-parse", "main")


class Killed(BaseException):
    """What stands for SIGKILL: nothing that is written afterwards counts."""


def killed_at(step: int, patch: pytest.MonkeyPatch) -> None:
    """Kill the scheduler before one of the steps in which a weave leaves something; of an append, half is written."""
    append, run, steps = EventLog.append, Git.run, count(1)

    def appended(log, drafts):
        if next(steps) == step:
            append(log, drafts[: len(drafts) // 2])
            raise Killed
        return append(log, drafts)

    def ran(repository, *words, **given):
        if words[0] in {"update-ref", "index-pack"} and next(steps) == step:
            raise Killed
        return run(repository, *words, **given)

    patch.setattr(EventLog, "append", appended)
    patch.setattr(Git, "run", ran)


def test_what_the_log_calls_landed_is_reachable_wherever_the_weaver_was_killed(team, tmp_path):
    """Git prunes all that no ref has; the next scheduler goes on, and each patch lands once."""
    scripts = {"ann": team.replaced(3, "ann 3"), "bob": team.replaced(13, "ann 13")}
    run_batch(team.ticker(scripts))
    folder, half = team.folder, tmp_path / "half"
    shutil.copytree(folder, half, symlinks=True)
    for step in count(1):
        with pytest.MonkeyPatch.context() as patch:
            killed_at(step, patch)
            try:
                run_batch(team.ticker(scripts))
                break
            except Killed:
                pass
        team.git("repack", "-adq")
        team.git("prune", "--expire=now")
        landed = [e.data["commit"] for e in team.context().mailbox.log.read() if e.kind == "patch.landed"]
        kept = set(team.git("rev-list", "--all").split())
        assert kept.issuperset(landed), step
        assert team.sprint(scripts).converged, step
        assert (len(lines_of(team)), len({*runs_of(team)}), len(runs_of(team))) == (2, 2, 2), step
        shutil.rmtree(folder)
        shutil.copytree(half, folder, symlinks=True)
    assert step > 5  # the pack, the ref that keeps it, the append, the branch, and the end of the sprint
