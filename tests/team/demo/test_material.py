"""The demo's material by itself: a project that works, edits that are real, conflicts where they are meant to be."""

from __future__ import annotations

import io
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from team_mail.mail.errors import UsageError
from team_mail.mail.log.event import Draft, Event
from team_mail.mail.log.log import EventLog
from team_mail.personas.roster import read_roster
from team_mail.scheduler.settings.reading import read_settings
from team_mail.team.demo import agent as demo_agent
from team_mail.team.demo.agent import PACES, SCRIPTS, Project
from team_mail.team.demo.demo import DemoRun, around, compared, conflicts, demo, landed, mail_to_human
from team_mail.team.demo.material import PERSONAS, THINKING, make_project, make_team

CLASHES = [{"absolutist", "forge", "streamliner"}, {"artisan", "scribe"}, {"lore", "steward"}]
CLASHING = set[str]().union(*CLASHES)
AUTHOR = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@b"}
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("TEAM_", "GIT_"))} | AUTHOR
CONFLICT = (("conflict", "Conflict in kiosk/cart.py"),)


def git(folder: Path, *words: str, check: bool = True) -> str:
    ended = subprocess.run(["git", *words], cwd=folder, env=CLEAN, check=check, capture_output=True, text=True)
    return ended.stdout.strip()


def passing(folder: Path) -> bool:
    words = [sys.executable, "-B", "-m", "unittest", "--quiet"]
    ended = subprocess.run(words, cwd=folder, capture_output=True, check=False, text=True)
    assert "Ran 0 tests" not in ended.stderr
    return ended.returncode == 0


class Shop:
    """A clone of the project in which one persona after the other works."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_project(folder)
        self.base = git(folder, "rev-parse", "HEAD")
        self.mail: list[tuple[str, ...]] = []

    def play(self, persona: str, base: str, attempt: int = 2, mails: tuple[tuple[str, str], ...] = ()) -> str:
        """Let a persona make its edit on a base; return the commit."""
        git(self.folder, "checkout", "-q", "--detach", base)
        SCRIPTS[persona](Project(self.folder, attempt, mails))
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-q", "--allow-empty", "-m", persona)
        return git(self.folder, "rev-parse", "HEAD")

    def merge(self, tip: str, commit: str) -> str | None:
        """Put a commit onto a tip as the weaver may; None for a conflict."""
        asked = subprocess.run(
            ["git", "merge-tree", "--write-tree", tip, commit],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.returncode:
            return None
        return git(self.folder, "commit-tree", asked.stdout.split()[0], "-p", tip, "-p", commit, "-m", "landed")

    def passes(self, commit: str) -> bool:
        git(self.folder, "checkout", "-q", "--detach", commit)
        return passing(self.folder)


@pytest.fixture
def context(tmp_path, monkeypatch):
    """The project; mail that the scripts send is kept instead of sent."""
    context = Shop(tmp_path / "shop")
    monkeypatch.setattr(demo_agent, "_mail", lambda *words: context.mail.append(words) or "[]")
    return context


def test_the_project_works(tmp_path):
    """A dozen modules, a README, docs and tests that pass, in one commit on main."""
    make_project(tmp_path)

    assert passing(tmp_path)
    assert git(tmp_path, "log", "--format=%s %D") == "Open the shop HEAD -> main"
    assert len([*(tmp_path / "kiosk").glob("*.py")]) >= 12
    assert git(tmp_path, "status", "--porcelain") == ""


@pytest.mark.parametrize("mode", ["parallel", "sequential"])
def test_the_team_is_valid(tmp_path, mode):
    """Settings and personas are read without a word; 19 take part, the weaver and the human do not."""
    make_project(tmp_path / mode)
    make_team(tmp_path / mode, mode)
    home = tmp_path / mode / ".team"

    settings, roster = read_settings(home, {}).settings, read_roster(home / "personas")
    assert roster.problems == ()
    assert {persona.id for persona in roster.scheduled} == SCRIPTS.keys()
    assert {persona.id for persona in roster.personas} - SCRIPTS.keys() == {"weaver", "you"}
    assert len(PERSONAS) == 21
    assert settings.sprint.parallel == {"parallel": "always", "sequential": "never"}[mode]
    assert settings.gates.keys() == {"tests"}
    assert settings.sprint.gather < THINKING
    assert [persona.id for persona in roster.personas if persona.timeout] == ["visionary"]
    assert git(tmp_path / mode, "status", "--porcelain") == ""


def test_conflicts_are_where_they_are_meant_to_be(context):
    """All edits of the first attempt are real; three and two and two of them collide, nobody else."""
    commits = {persona: context.play(persona, context.base) for persona in SCRIPTS}

    pairs = [*itertools.combinations(commits, 2)]
    git_said = subprocess.run(
        ["git", "merge-tree", "--write-tree", "--stdin", "-z"],
        cwd=context.folder, input="".join(f"{commits[a]} {commits[b]}\n" for a, b in pairs), capture_output=True,
        text=True, check=True,
    ).stdout  # fmt: skip
    clean = re.findall(r"(?:^|\0)([01])\0(?=[0-9a-f]{40}\0)", git_said)
    clashing = [{*pair} for pair, good in zip(pairs, clean, strict=True) if good == "0"]
    assert clashing == [{*pair} for pair in pairs if any({*pair} <= group for group in CLASHES)]
    edited = [name for name, commit in commits.items() if git(context.folder, "diff", "--stat", context.base, commit)]
    assert {*SCRIPTS} - {*edited} == {"evaluator"}


@pytest.mark.parametrize("first", [0, *(pytest.param(first, marks=pytest.mark.storm) for first in (3, 4))])
def test_whoever_lands_first_the_others_find_their_place(context, first):
    """After one of each group has landed, the others' second edits land all together, and the tests pass."""
    orders = [*itertools.permutations(["absolutist", "forge", "streamliner"])]
    winners = [orders[first][0], *(("artisan", "lore") if first % 2 else ("scribe", "steward"))]
    tip = context.base
    for persona in [*sorted(SCRIPTS.keys() - CLASHING - {"sapper"}), *winners]:
        landed = context.merge(tip, context.play(persona, context.base))
        assert landed, persona
        tip = landed
    assert context.passes(tip)

    losers = [*orders[first][1:], *sorted(CLASHING - {*orders[first]} - {*winners})]
    assert losers[0] not in winners
    commits = {persona: context.play(persona, tip, mails=CONFLICT) for persona in losers}
    for persona, commit in commits.items():
        tip = context.merge(tip, commit)
        assert tip, persona
    assert context.passes(tip)


def test_one_after_the_other_nobody_collides(context):
    """In the order of a sequential sprint, everyone's first edit fits what is there."""
    tip = context.base
    for persona in sorted(SCRIPTS):
        mails = (("feedback", "tests failed"),) if persona == "sapper" else ()
        tip = context.play(persona, tip, mails=mails)

    assert context.passes(tip)
    assert len(git(context.folder, "log", "--format=%h", f"{context.base}..{tip}").split()) == len(SCRIPTS)


def test_the_gate_stops_sapper_once(context):
    """Its first patch breaks a test; told so by the gate, it mends the test too."""
    assert not context.passes(context.play("sapper", context.base, 1))
    assert context.passes(context.play("sapper", context.base, 2, (("feedback", "tests failed"),)))


def test_mail_goes_to_a_colleague_and_to_the_human(context):
    """Evaluator asks shepherd, who adds the test that was asked for; oracle asks the human."""
    for persona in ("evaluator", "oracle"):
        context.play(persona, context.base)
    assert [words[2] for words in context.mail] == ["shepherd", "you"]

    asked = context.play("shepherd", context.base, mails=(("review", context.mail[0][4]),))
    assert "test_signs_alone" in git(context.folder, "show", asked)
    assert context.passes(asked)


def test_a_crash_is_a_crash(context):
    """Meta falls over at first, and says that this is meant."""
    with pytest.raises(SystemExit, match="part of the demo"):
        SCRIPTS["meta"](Project(context.folder, 1))


def test_an_edit_that_finds_nothing_is_no_success(context):
    """On a base where its place is gone, a script fails rather than do nothing."""
    SCRIPTS["deps"](Project(context.folder))
    with pytest.raises(SystemExit) as ended:
        SCRIPTS["deps"](Project(context.folder))
    assert ended.value.code == 3


def test_everybody_thinks_for_a_time_of_their_own():
    """On average as long as they are told, and so differently that runs end one by one."""
    assert PACES.keys() == SCRIPTS.keys()
    assert sum(PACES.values()) / len(PACES) == pytest.approx(1)
    assert max(PACES.values()) > 10 * min(PACES.values())


def test_the_script_is_an_agent(tmp_path):
    """Run as an agent is run, it edits the folder it is in, and sends real mail as its persona."""
    folder = tmp_path / "shop"
    make_project(folder)
    make_team(folder, "parallel")
    home = folder / ".team"
    command = read_settings(home, {}).settings.agents["script"].command
    assert command
    words = [word.format(persona="evaluator", attempt=1) for word in command[:-1]]
    environ = CLEAN | {"TEAM_HOME": str(home), "TEAM_PERSONA": "evaluator", "TEAM_RUN": "r1"}
    subprocess.run(words, cwd=folder, env=environ, input="", text=True, check=True, capture_output=True)

    (sent,) = mail_of(home)
    assert (sent.sender, sent.recipients, sent.run) == ("evaluator", ("shepherd",), "r1")
    words[-2:] = ["shepherd", "2"]
    ended = subprocess.run(
        words, cwd=folder, env=environ | {"TEAM_PERSONA": "shepherd"}, input=sent.subject, text=True, check=True,
        capture_output=True,
    )  # fmt: skip
    assert f"shepherd reads (review): {sent.subject}" in ended.stdout
    assert "test_signs_alone" in (folder / "tests" / "test_slug.py").read_text()


def mail_of(home: Path) -> list[Event]:
    return [event for event in EventLog(home / "mail").read() if event.kind == "mail.sent"]


def test_the_script_needs_nothing_but_python():
    """It is copied out of the package, so it may import nothing from it, nor any third party."""
    code = "import sys, runpy; runpy.run_path(sys.argv[1]); print(*sys.modules)"
    words = [sys.executable, "-I", "-S", "-c", code, demo_agent.__file__]
    loaded = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()

    assert {name.partition(".")[0] for name in loaded} - {"sitecustomize"} <= {*sys.stdlib_module_names, "__main__"}


def test_two_results_are_set_side_by_side():
    """Ticks and seconds of both, and what that makes."""
    sequential = {"ticks": 23, "runs": 22, "conflicts": 0, "landed": ["a", "b"], "seconds": 28.6}
    parallel = {"ticks": 3, "runs": 27, "conflicts": 4, "landed": ["b", "a"], "seconds": 8.9}

    lines = [*compared(sequential, parallel)]
    assert ["ticks", "23", "3"] in [text.split() for text in lines]
    assert lines[-1] == "3 ticks instead of 23, and 3.2 times as fast"


def test_the_demo_overwrites_nothing(tmp_path):
    """A folder with something in it is refused before anything is written."""
    (tmp_path / "mine").write_text("")

    with pytest.raises(UsageError, match="is not an empty folder"):
        demo(tmp_path, io.StringIO())
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_the_end_of_a_sprint_is_told(context, tmp_path):
    """Mail, landing order and the way on are read from the log and from git, and are shown escaped."""
    tip = context.play("deps", context.base)
    git(context.folder, "branch", "team/sprint-1", tip)
    log = EventLog(context.folder / ".team" / "mail")
    body = "Where:\n    git apply x" + " y" * 80 + "\n" + "word " * 40
    log.append(
        [
            Draft("mail.sent", "weaver", ("lore",), "Conflict \x1b[31m", body, data={"type": "conflict"}),
            Draft("mail.sent", "oracle", ("you",), "Why?", "", data={"type": "note"}),
        ]
    )
    played = DemoRun(context.folder, {"branch": "team/sprint-1", "sprint": 1})

    lines = [*conflicts(played)]
    assert lines[0] == r"lore         Conflict \x1b[31m"
    assert max(len(text) for text in lines if "word" in text) < 110
    assert "  |     git apply x" + " y" * 80 in lines
    assert [text.split()[2:] for text in landed(played)] == [["A", "deps"]]
    assert [*mail_to_human(played)] == ["oracle       Why?"]
    assert "scheduler land 1" in " ".join(around(played, tmp_path / "report.txt"))
