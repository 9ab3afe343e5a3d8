"""Gates: judged by exit code or score, in a clone without mail and secrets."""

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
from team_mail.scheduler.landing.gate import Gate, judge, printed_score

from ...samples import examples
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

    assert (verdict.passed, verdict.exit, verdict.score) == (True, 0, None)
    assert verdict.log.decode().startswith("line 1\n")
    assert b"oops" in verdict.log
    assert (verdict.commit, verdict.tree) == (project.base, project.git.line("rev-parse", f"{project.base}^{{tree}}"))


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
@settings(max_examples=examples(25))
def test_any_output_has_a_score_or_none(log):
    """No output raises an exception."""
    assert printed_score(log) is None or isinstance(printed_score(log), float)


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
