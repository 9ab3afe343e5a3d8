"""Gates: judged by exit code or score, run twice before a patch is blamed, and culprits found by bisection."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.personas.setup.slots import Slot
from team_mail.scheduler.landing.clone import GateClone
from team_mail.scheduler.landing.gate import Gate, GateResult, judge, printed_score, sift
from team_mail.scheduler.weaver.weave import weave

from ..project import Project, lines


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "project", {"a.txt": lines(), "gate.sh": "! grep -rq bad --include=*.txt .\n"})


@pytest.fixture
def checkout(project, tmp_path):
    """Clone a commit for as long as it is looked at."""

    @contextmanager
    def clone(commit):
        path = tmp_path / f"clone-{os.urandom(4).hex()}"
        subprocess.run(["git", "clone", "-qns", str(project.folder), str(path)], check=True)
        subprocess.run(["git", "-C", str(path), "checkout", "-q", commit], check=True)
        papers = tmp_path / f"papers-{path.name}"
        papers.mkdir()
        yield GateClone(path, papers, papers, Slot(0, 20_000))

    return clone


def shell(script, **fields) -> Gate:
    return Gate("tests", ("sh", "-c", script), **({"timeout": 20.0} | fields))


def test_a_gate_passes_by_its_exit_code(project, checkout):
    """It runs where the commit is checked out, and its verdict names commit and tree and has what it printed."""
    verdict = judge(project.git, shell("cat a.txt; echo oops >&2"), project.base, checkout)

    assert (verdict.passed, verdict.exit, verdict.tries, verdict.score) == (True, 0, 1, None)
    assert verdict.log.decode().startswith("line 1\n")
    assert b"oops" in verdict.log
    assert (verdict.commit, verdict.tree) == (project.base, project.git.line("rev-parse", f"{project.base}^{{tree}}"))


def test_a_flaky_gate_is_run_once_more(project, checkout, tmp_path):
    """Red and then green is green; red twice is red, and was tried twice."""
    flaky = judge(project.git, shell(f"mkdir {tmp_path}/once || exit 0; exit 3"), project.base, checkout)
    red = judge(project.git, shell("echo no; exit 3"), project.base, checkout)

    assert (flaky.passed, flaky.tries) == (True, 2)
    assert (red.passed, red.tries, red.exit, red.log) == (False, 2, 3, b"no\n")


def test_a_gate_that_exceeds_its_timeout_is_ended_with_all_its_processes(project, checkout, tmp_path):
    """Its output so far is kept."""
    script = f"echo begun; (sleep 300 & echo $! > {tmp_path}/pid; wait)"
    before = time.monotonic()
    verdict = judge(project.git, shell(script, timeout=1.0), project.base, checkout)

    assert not verdict.passed
    assert verdict.exit is None
    assert b"begun" in verdict.log
    assert "1s" in verdict.detail
    assert time.monotonic() - before < 20
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_gate_that_cannot_start_fails_with_the_reason(project, checkout):
    """No patch is to blame."""
    verdict = judge(project.git, Gate("tests", ("no-such-command",), 5.0), project.base, checkout)

    assert not verdict.passed
    assert "no-such-command" in verdict.detail


def test_a_gate_does_not_see_the_schedulers_secrets(project, checkout, monkeypatch):
    """It runs code written by agents (A8)."""
    monkeypatch.setenv("API_TOKEN", "hush")
    monkeypatch.setenv("TEAM_PERSONA", "weaver")

    log = judge(project.git, shell("env"), project.base, checkout).log

    assert b"PATH=" in log
    assert b"hush" not in log
    assert b"TEAM_PERSONA" not in log


@pytest.mark.parametrize(
    ("printed", "passed", "score"),
    [
        ("0.9", True, 0.9),
        ("echo; 0.79", False, 0.79),
        ("0", False, 0.0),
        ("nothing", False, None),
        ('{"score": 0.8}', True, 0.8),
        ('{"pass_rate": 1}', True, 1.0),
        ('{"passed": 9, "total": 10}', True, 0.9),
        ('{"passed": 0, "total": 0}', False, None),
    ],
)
def test_a_score_is_compared_with_the_threshold(project, checkout, printed, passed, score):
    """The last number decides, whatever the exit code; a missing number fails, and 0 is a number."""
    gate = shell(f"printf '%s\\n' '{printed.removeprefix('echo; ')}'; exit 1", threshold=0.8)

    verdict = judge(project.git, gate, project.base, checkout)

    assert (verdict.passed, verdict.score) == (passed, score)


@pytest.mark.parametrize(
    ("log", "key", "score"),
    [
        ("12\n0.5\ndone\n", None, 0.5),
        ('{"score": 0.1}\n{"score": 0.2}\nbye', None, 0.2),
        ('text\n{\n  "score": 0.3,\n  "more": {"score": 9}\n}\n', None, 0.3),
        ('{"totals": {"percent": 87.5}}', "totals.percent", 87.5),
        ('{"a.b": 2}', "a.b", 2.0),
        ("5", "score", None),
        ('{"score": true}', None, None),
        ('{"score": "1"}', None, None),
        ("NaN", None, None),
        ('{"score": Infinity}', None, None),
        ('{"other": 1}', None, None),
        ("true", None, None),
        ("", None, None),
        ("[" * 100_000, None, None),
        ("{\n" * 50, None, None),
    ],
)
def test_the_last_json_number_or_object_is_the_score(log, key, score):
    """Lines that are neither are ignored."""
    assert printed_score(log.encode(), key) == score


@given(st.binary(max_size=200))
@settings(max_examples=50)
def test_any_output_has_a_score_or_none(log):
    """No output raises an exception."""
    assert printed_score(log) is None or isinstance(printed_score(log), float)


# -- sifting


class Judge:
    """A judge that reads commits, without a process: red where a file of the tree has a line that begins with `bad`."""

    def __init__(self, project):
        self.project = project
        self.asked = []

    def __call__(self, gate: Gate, commit: str) -> GateResult:
        self.asked.append(commit)
        tree = self.project.git.line("rev-parse", f"{commit}^{{tree}}")
        red = not self.project.git.run("grep", "-q", f"^{' '.join(gate.command)}", commit).returncode
        return GateResult(gate.name, commit, tree, passed=not red)


BAD = Gate("tests", ("bad",))
UGLY = Gate("style", ("ugly",))


def sifted(project, judge, submissions, gates=(BAD,), green=()):
    woven = weave(project.git, project.base, submissions)
    return sift(
        project.git, woven, submissions, gates, judge, green, lambda rest: weave(project.git, project.base, rest)
    )


def offers_of(project, texts: dict[str, str]):
    return [project.submission(name, {f"{name}.txt": f"{text}\n"}) for name, text in texts.items()]


def test_a_tip_that_passes_is_judged_once(project):
    """The commits before it are not judged, and a tree that passed before is not judged again."""
    submissions, asked = offers_of(project, {"one": "x", "two": "y"}), Judge(project)

    outcome = sifted(project, asked, submissions)
    again = Judge(project)
    sifted(project, again, submissions, green={(BAD.mark, outcome.verdicts[0].tree)})

    assert (len(asked.asked), len(again.asked)) == (1, 0)
    assert outcome.culprits == ()
    assert len(outcome.woven.landed) == 2


def test_a_culprit_is_found_by_bisection_and_the_rest_lands(project):
    """Among 16 patches, a bad one is found in about log2(16) steps and removed."""
    submissions = offers_of(project, {f"p{n:02}": "bad" if n == 11 else "fine" for n in range(16)})
    asked = Judge(project)

    outcome = sifted(project, asked, submissions)

    assert [submission.persona for submission, _ in outcome.culprits] == ["p11"]
    assert len(outcome.woven.landed) == 15
    assert len(asked.asked) <= 7
    assert outcome.verdicts[-1].passed
    assert not outcome.culprits[0][1].passed


def test_every_culprit_of_every_gate_is_found(project):
    """Two gates have three culprits; a patch that conflicted with one of them lands in its place."""
    texts = {"a": "x", "b": "bad", "c": "ugly", "d": "y", "e": "bad"}
    submissions = [*offers_of(project, texts), project.submission("late", {"b.txt": "good\n"})]

    outcome = sifted(project, Judge(project), submissions, (BAD, UGLY))

    assert {(o.persona, v.gate) for o, v in outcome.culprits} == {("b", "tests"), ("e", "tests"), ("c", "style")}
    assert [landed.submission.persona for landed in outcome.woven.landed] == ["a", "d", "late"]


def test_a_gate_that_failed_before_rejects_no_patch(project):
    """The patches land, the result has the failure, and the other gates still count."""
    project.base = project.commit({"old.txt": "bad\n"}, project.base)
    submissions = offers_of(project, {"one": "bad", "two": "ugly"})

    outcome = sifted(project, Judge(project), submissions, (BAD, UGLY))

    assert [verdict.gate for verdict in outcome.red_before] == ["tests"]
    assert [(submission.persona, verdict.gate) for submission, verdict in outcome.culprits] == [("two", "style")]
    assert [landed.submission.persona for landed in outcome.woven.landed] == ["one"]


def test_no_tree_is_judged_twice(project):
    """However many culprits there are, what was asked is known."""
    asked = Judge(project)

    outcome = sifted(project, asked, offers_of(project, {f"p{n}": "bad" if n % 2 else "x" for n in range(8)}))

    trees = [verdict.tree for verdict in outcome.verdicts]
    assert len(outcome.culprits) == 4
    assert len(trees) == len(set(trees)) == len(asked.asked)


def test_all_patches_can_be_culprits(project):
    """Then nothing lands, and the tip is the start."""
    outcome = sifted(project, Judge(project), offers_of(project, {"one": "bad", "two": "bad"}))

    assert (len(outcome.culprits), outcome.woven.tip) == (2, project.base)


def test_a_real_gate_rejects_the_culprit(project, checkout):
    """A command in clones, as in a sprint."""
    submissions = offers_of(project, {"one": "fine", "two": "bad"})
    gate = Gate("tests", ("sh", "gate.sh"), 20.0)

    outcome = sifted(project, lambda gate, commit: judge(project.git, gate, commit, checkout), submissions, (gate,))

    assert [submission.persona for submission, _ in outcome.culprits] == ["two"]
    assert [verdict.passed for verdict in outcome.verdicts] == [False, True, True]


def test_a_gate_has_no_mail(project, checkout):
    """It would go into the clone and be deleted with it."""
    script = f"{Path(sys.executable).with_name('team-mail')} send --to ann -s x -b y; true"
    log = judge(project.git, shell(script), project.base, checkout).log.decode()

    assert "team-mail: gate tests has no mail: what it prints is its word" in log


def test_a_gate_that_removes_its_repository_works_on_no_other(project, checkout, tmp_path):
    """Clones may lie below a repository, as where a home folder is one."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    who = "-c user.name=eve -c user.email=eve@example.org"
    script = f"rm -rf .git; git add -A; git {who} commit -qm evil; git rev-parse --show-toplevel; true"
    log = judge(project.git, shell(script), project.base, checkout).log.decode()

    assert log.count("not a git repository") == 3
    assert not (tmp_path / ".git/index").exists()


def test_git_in_a_gate_sees_no_settings_of_the_environment(project, checkout, tmp_path, monkeypatch):
    """What is set there is meant for the scheduler's git, or for nobody any more."""
    (tmp_path / "settings").write_text("[evil]\n\tone = 1\n")
    evil = {
        "GIT_CONFIG_GLOBAL": str(tmp_path / "settings"), "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "evil.two",
        "GIT_CONFIG_VALUE_0": "2", "GIT_CONFIG_PARAMETERS": "'evil.three'='3'", "GIT_SSH_COMMAND": "evil",
    }  # fmt: skip
    for name, value in evil.items():
        monkeypatch.setenv(name, value)
    log = judge(project.git, shell("git config --list; env"), project.base, checkout).log.decode()

    assert "core.bare=false" in log
    assert "evil" not in log
    assert [row.partition("=")[0] for row in log.splitlines() if row.startswith("GIT_")] == ["GIT_CEILING_DIRECTORIES"]
