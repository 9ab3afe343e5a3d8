"""Sifting: gates judge what is woven, the culprits are taken out, and the rest lands."""

import subprocess
import threading
from collections import Counter
from contextlib import contextmanager, suppress

import pytest
from team_mail.personas.setup.slots import Slot
from team_mail.scheduler.errors import Stopped
from team_mail.scheduler.landing.clone import GateClone
from team_mail.scheduler.landing.gate import Gate, GateResult, judge
from team_mail.scheduler.landing.sift import sift
from team_mail.scheduler.state.facts import Judged
from team_mail.scheduler.weaver.weave import weave

from ..project import Project, lines


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "project", {"a.txt": lines(), "gate.sh": "! grep -rq bad --include=*.txt .\n"})


class Judge:
    """A judge that reads commits, without a process: red where files of the tree have lines that begin with each word.

    What it prints names the files, unless it is `mute`.
    """

    def __init__(self, project, *, mute=True):
        self.project, self.mute = project, mute
        self.asked = []

    def __call__(self, gate: Gate, commit: str, stop: threading.Event) -> GateResult:
        self.asked.append((gate.name, commit))
        tree = self.project.git.line("rev-parse", f"{commit}^{{tree}}")
        files = [self.project.git.run("grep", "-l", f"^{word}", commit).stdout.decode() for word in gate.command]
        log = b"" if self.mute else "".join(files).replace(f"{commit}:", "FAILED ./").encode()
        return GateResult(gate.name, commit, tree, passed=not all(files), log=log)

    @property
    def runs(self):
        return len(self.asked)


BAD = Gate("tests", ("bad",))
UGLY = Gate("style", ("ugly",))


def sifted(project, judge, submissions, gates=(BAD,), known=None, stop=None):
    woven = weave(project.git, project.base, submissions)
    again = lambda rest: weave(project.git, project.base, rest)  # noqa: E731
    return sift(project.git, woven, submissions, gates, judge, known or {}, again, stop)


def blamed(outcome):
    return [each.submission.persona for each in outcome.rejected]


def offers_of(project, texts: dict[str, str]):
    return [project.submission(name, {f"{name}.txt": f"{text}\n"}) for name, text in texts.items()]


def test_a_tip_that_passes_is_judged_once(project):
    """The commits before it are not judged, and a tree that passed before is not judged again."""
    submissions, asked = offers_of(project, {"one": "x", "two": "y"}), Judge(project)

    outcome = sifted(project, asked, submissions)
    again = Judge(project)
    sifted(project, again, submissions, known={(BAD.mark, outcome.verdicts[0].tree): Judged(passed=1)})

    assert (asked.runs, again.runs) == (1, 0)
    assert blamed(outcome) == []
    assert len(outcome.woven.landed) == 2


def test_a_culprit_is_found_and_the_rest_lands(project):
    """Among 16 patches, a bad one costs 9 runs, three of which confirm the verdict: nothing is known of the gate."""
    submissions = offers_of(project, {f"p{n:02}": "bad" if n == 11 else "fine" for n in range(16)})
    asked = Judge(project)

    outcome = sifted(project, asked, submissions)

    assert blamed(outcome) == ["p11"]
    assert len(outcome.woven.landed) == 15
    assert asked.runs == len(outcome.verdicts) <= 9
    assert outcome.verdicts[-1].passed
    assert not outcome.rejected[0].result.passed


def test_a_patch_that_alone_changes_the_named_file_is_tried_first(project):
    """The gate's output says `FAILED ./p11.txt`; then it is judged alone."""
    submissions = offers_of(project, {f"p{n:02}": "bad" if n == 11 else "fine" for n in range(16)})
    asked, known = Judge(project, mute=False), {(BAD.mark, project.git.line("rev-parse", f"{project.base}^{{tree}}")):
                                                Judged(passed=9)}  # fmt: skip

    outcome = sifted(project, asked, submissions, known=known)

    assert blamed(outcome) == ["p11"]
    assert asked.runs == 4
    assert outcome.rejected[0].result.tries == 2


def test_every_culprit_of_every_gate_is_found(project):
    """Two gates have three culprits; a patch that conflicted with one of them lands in its place."""
    texts = {"a": "x", "b": "bad", "c": "ugly", "d": "y", "e": "bad"}
    submissions = [*offers_of(project, texts), project.submission("late", {"b.txt": "good\n"})]

    outcome = sifted(project, Judge(project), submissions, (BAD, UGLY))

    verdicts = {(each.submission.persona, each.result.gate) for each in outcome.rejected}
    assert verdicts == {("b", "tests"), ("e", "tests"), ("c", "style")}
    assert [landed.submission.persona for landed in outcome.woven.landed] == ["a", "d", "late"]


def test_two_patches_that_fail_only_together_are_both_named(project):
    """The later one is taken out, and the verdict names the earlier one."""
    texts = {f"p{n}": {2: "cat", 5: "dog"}.get(n, "fine") for n in range(8)}
    gate = Gate("tests", ("cat", "dog"))

    outcome = sifted(project, Judge(project), offers_of(project, texts), (gate,))

    (rejected,) = outcome.rejected
    assert (rejected.submission.persona, rejected.partner.persona) == ("p5", "p2")
    assert len(outcome.woven.landed) == 7


def test_a_gate_that_failed_before_rejects_no_patch(project):
    """The patches land, the result has the failure, and the other gates still count."""
    project.base = project.commit({"old.txt": "bad\n"}, project.base)
    submissions = offers_of(project, {"one": "bad", "two": "ugly"})

    outcome = sifted(project, Judge(project), submissions, (BAD, UGLY))

    assert [verdict.gate for verdict in outcome.red_before] == ["tests"]
    assert [(each.submission.persona, each.result.gate) for each in outcome.rejected] == [("two", "style")]
    assert [landed.submission.persona for landed in outcome.woven.landed] == ["one"]


def test_a_base_that_is_known_to_be_red_is_not_judged_again(project):
    """It costs one run, of the patches, because one may have mended it."""
    project.base = project.commit({"old.txt": "bad\n"}, project.base)
    tree = project.git.line("rev-parse", f"{project.base}^{{tree}}")
    known, asked = {(BAD.mark, tree): Judged(failed=2)}, Judge(project)

    outcome = sifted(project, asked, offers_of(project, {"one": "x"}), known=known)
    mended = sifted(project, Judge(project), [project.submission("ann", {"old.txt": "good\n"})], known=known)

    assert (asked.runs, [(each.gate, each.tree) for each in outcome.red_before]) == (1, [("tests", tree)])
    assert (mended.red_before, len(mended.woven.landed)) == ((), 1)


def test_no_tree_is_judged_more_often_than_a_verdict_needs(project):
    """However many culprits there are, what was asked is known, and what passed once is asked at most once more."""
    asked = Judge(project)

    outcome = sifted(project, asked, offers_of(project, {f"p{n}": "bad" if n % 2 else "x" for n in range(8)}))

    trees = Counter(verdict.tree for verdict in outcome.verdicts)
    assert len(outcome.rejected) == 4
    assert max(trees.values()) <= 3
    assert asked.runs <= 24


def test_all_patches_can_be_culprits(project):
    """Then nothing lands, and the tip is the start."""
    outcome = sifted(project, Judge(project), offers_of(project, {"one": "bad", "two": "bad"}))

    assert (len(outcome.rejected), outcome.woven.tip) == (2, project.base)


def test_what_is_on_record_of_a_search_that_was_cut_off_is_not_asked_again(project):
    """Of a verdict that is known already, only the passes are asked once more: they may be old."""
    submissions = offers_of(project, {f"p{n}": "bad" if n == 5 else "x" for n in range(8)})
    whole = sifted(project, Judge(project), submissions)
    known = Counter((each.tree, each.passed) for each in whole.verdicts)
    trees = {(BAD.mark, tree): Judged(known[tree, True], known[tree, False]) for tree, _ in known}
    asked = Judge(project)

    outcome = sifted(project, asked, submissions, known=trees)

    assert (blamed(outcome), asked.runs <= 2) == (["p5"], True)
    assert outcome.rejected[0].result.tries >= 1


class Waiting(Judge):
    """A judge whose runs end only once as many as `width` have met, or they are cut off."""

    def __init__(self, project, width):
        super().__init__(project)
        self.meeting, self.met, self.cut = threading.Barrier(width), 0, 0

    def __call__(self, gate, commit, stop):
        with suppress(threading.BrokenBarrierError):
            self.met += not self.meeting.wait(timeout=1)
        if stop.is_set():
            self.cut += 1
            raise Stopped("cut off")
        return super().__call__(gate, commit, stop)


def test_trees_are_tried_side_by_side(project):
    """As many as a gate allows; the verdicts are the same as one after the other."""
    submissions = offers_of(project, {f"p{n:02}": "bad" if n == 11 else "fine" for n in range(16)})
    judge = Waiting(project, 2)

    outcome = sifted(project, judge, submissions, (Gate("tests", ("bad",), parallel=2),))

    assert blamed(outcome) == ["p11"]
    assert len(outcome.woven.landed) == 15
    assert judge.met >= 3


def test_a_run_that_is_of_no_use_any_more_is_ended(project):
    """Once all patches pass together, nobody waits for the half of them that was tried meanwhile."""
    submissions, ended = offers_of(project, {f"p{n}": "x" for n in range(4)}), threading.Event()
    tip = weave(project.git, project.base, submissions).tip

    def judge(gate, commit, stop):
        if commit != tip:
            assert stop.wait(timeout=30)
            ended.set()
            raise Stopped("cut off")
        return Judge(project)(gate, commit, stop)

    outcome = sifted(project, judge, submissions, (Gate("tests", ("bad",), parallel=2),))

    assert [verdict.commit for verdict in outcome.verdicts] == [tip]
    assert ended.is_set()


@pytest.mark.parametrize("width", [1, 2])
def test_a_stop_ends_all_runs(project, width):
    """It is raised, and no run is left."""
    stop = threading.Event()

    def judge(gate, commit, own):
        stop.set()
        assert own.wait(timeout=30)
        raise Stopped("stopped")

    with pytest.raises(Stopped):
        sifted(project, judge, offers_of(project, {"one": "x"}), (Gate("tests", ("bad",), parallel=width),), stop=stop)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("gate")] == []


def test_a_real_gate_rejects_the_culprit(project, tmp_path):
    """A command in clones, as in a sprint, two at once."""

    @contextmanager
    def checkout(commit):
        path = tmp_path / f"clone-{threading.get_ident()}-{len([*tmp_path.iterdir()])}"
        subprocess.run(["git", "clone", "-qns", str(project.folder), str(path)], check=True)
        subprocess.run(["git", "-C", str(path), "checkout", "-q", commit], check=True)
        papers = tmp_path / f"papers-{path.name}"
        papers.mkdir()
        yield GateClone(path, papers, papers, Slot(0, 20_000))

    submissions = offers_of(project, {"one": "fine", "two": "bad"})
    gate = Gate("tests", ("sh", "gate.sh"), 20.0, parallel=2)

    outcome = sifted(
        project, lambda gate, commit, stop: judge(project.git, gate, commit, checkout, stop), submissions, (gate,)
    )

    assert blamed(outcome) == ["two"]
    assert [landed.submission.persona for landed in outcome.woven.landed] == ["one"]
