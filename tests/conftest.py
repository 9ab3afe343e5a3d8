"""A small repository with a team of scripted personas, for tests of whole ticks."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from hypothesis import settings
from team_mail.mail.log.event import Draft
from team_mail.personas.agent import Job
from team_mail.personas.agents.scripted import ScriptedAgent
from team_mail.personas.running.folder import MERGED
from team_mail.scheduler.context import Context
from team_mail.scheduler.landing.judging import gates_of
from team_mail.scheduler.runs.batch import BatchRunner
from team_mail.scheduler.sprint.decide import StartRequest
from team_mail.scheduler.sprint.loop import Summary, run_sprint, run_tick
from team_mail.scheduler.sprint.tick import Done, Ticker
from team_mail.team.open import open_team

from .on_server import add_option, log_on_server, skip_those_in_files
from .postgres import postgres, schemas
from .samples import examples

__all__ = ["log_on_server", "postgres", "schemas"]  # fixtures

ASKED = StartRequest("asked for")
WHO = {
    "GIT_AUTHOR_NAME": "ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "ada", "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z", "GIT_CONFIG_GLOBAL": "/dev/null",
}  # fmt: skip
Script = Callable[[Job], object]
MEMORY = Path("/dev/shm")  # a file system in memory, where Linux has one
ROOM = 4 << 30  # bytes that must be free for the tests' folders to lie there; they take a quarter of it


def git(folder: Path, *words: str) -> str:
    """Run the user's own git in a folder."""
    ended = subprocess.run(
        ["git", *words], cwd=folder, env=os.environ | WHO, check=True, capture_output=True, text=True
    )
    return ended.stdout.strip()


def start_over(job: Job) -> None:
    """Take back the merge of an earlier patch, as a conflict mail says how to."""
    if (job.workspace / MERGED).exists():
        git(job.workspace, "apply", "-R", "--allow-empty", MERGED)


def replaced(line: int, text: str, file: str = "poem.txt") -> Script:
    """Return a script that replaces one line of a file as the branch has it."""

    def play(job: Job) -> None:
        start_over(job)
        path = job.workspace / file
        lines = path.read_text().splitlines()
        lines[line] = text
        path.write_text("\n".join(lines) + "\n")

    return play


class Team:
    """A team in its own repository; `scripts` are what its personas do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / ".team"
        self.settings = ""

    replaced = staticmethod(replaced)

    def git(self, *words: str) -> str:
        return git(self.folder, *words)

    def roster(self, *names: str) -> None:
        (self.home / "personas").mkdir(parents=True, exist_ok=True)
        for name in names:
            (self.home / "personas" / f"{name}.md").write_text(f"---\nid: {name}\n---\nDo your part.\n")

    def context(self, scripts: Mapping[str, Script] | None = None, settings: str = "") -> Context:
        """Return the context, with an agent made of functions; `settings` is the text of team.toml."""
        (self.home / "team.toml").write_text('[agents.shell]\ncommand = ["true"]\n' + settings)
        context = open_team(self.home, {})
        context.agents["shell"] = ScriptedAgent(scripts or {})
        return context

    def ticker(self, scripts: Mapping[str, Script] | None = None, settings: str = "") -> Ticker:
        context = self.context(scripts, settings)
        return Ticker(context, BatchRunner(context))

    def sprint(self, scripts: Mapping[str, Script], settings: str = "", request: StartRequest = ASKED) -> Summary:
        """Run a whole sprint."""
        result = run_sprint(self.ticker(scripts, settings), request)
        assert result
        return result

    def know_green(self, settings: str) -> None:
        """Put a sprint on record in which all gates of some settings passed on `main`, so that none need judge it."""
        context, base = self.context({}, settings), self.git("rev-parse", "main")
        start = {"sprint": 1, "id": "s", "base_branch": "main", "base": base, "branch": "team/sprint-1"}
        start |= {"mode": "parallel", "rule": "always", "reason": "asked for", "personas": []}
        tree = self.git("rev-parse", "main^{tree}")
        data = {"sprint": 1, "tick": 0, "commit": base, "tree": tree, "passed": True, "tries": 1}
        gates = [data | {"gate": gate.name, "mark": gate.mark} for gate in gates_of(context)]
        judged = [Draft("gate.judged", "weaver", data=gate) for gate in gates]
        ended = Draft("sprint.finished", "scheduler", data={"sprint": 1, "outcome": "converged"})
        context.append([Draft("sprint.started", "scheduler", data=start), *judged, ended])

    def kinds(self, *nouns: str) -> list[str]:
        """Return the kinds of the events so far, those of some nouns only."""
        context = open_team(self.home, {})
        return [e.kind for e in context.mailbox.log.read() if not nouns or e.kind.split(".")[0] in nouns]

    def text(self, branch: str, file: str = "poem.txt") -> list[str]:
        return git(self.folder, "show", f"{branch}:{file}").splitlines()


def run_batch(ticker: Ticker, request: StartRequest = ASKED) -> Done:
    """Carry out one tick of a sprint that waits for its batches."""
    settings = ticker.context.settings
    sprint = settings.sprint.model_copy(update={"rolling": "never"})
    ticker.context = replace(ticker.context, settings=settings.model_copy(update={"sprint": sprint}))
    ticker.dispatcher.context = ticker.context
    return run_tick(ticker, request)


def pytest_addoption(parser: pytest.Parser) -> None:
    add_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Let workspaces lie in a folder of the tests, before a module copies the environment.

    An example may take as long as a busy machine makes it; the timeout of the test bounds it. Where CI judges a change,
    the examples are the same each time, so that one that fails is the change's; all other runs look for new ones.
    """
    is_judged = "CI" in os.environ
    settings.register_profile("busy", deadline=None, max_examples=examples(40), derandomize=is_judged)
    settings.load_profile("busy")
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a shell starts what runs in the background like this
        signal.signal(signal.SIGINT, signal.default_int_handler)  # every process of a test would ignore it, too
    _use_memory(config)
    folder = tempfile.TemporaryDirectory(prefix="team-mail-state-", ignore_cleanup_errors=True)
    os.environ["XDG_STATE_HOME"] = folder.name
    config.add_cleanup(folder.cleanup)


def _use_memory(config: pytest.Config) -> None:
    """Put the tests' folders into memory if it has the room: a disk makes those of the log a third slower, for one.

    Not those of the storms, which are about what a disk keeps, and not if TMPDIR says where they are to lie. The
    processes that tests start, and the workers of this one, inherit the place.
    """
    chosen = os.environ.get("TMPDIR") or "not storm" not in config.option.markexpr
    if chosen or not os.access(MEMORY, os.W_OK) or os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:
        return
    if min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available) >= ROOM:
        folder = tempfile.TemporaryDirectory(prefix="team-mail-tests-", dir=MEMORY, ignore_cleanup_errors=True)
        config.add_cleanup(folder.cleanup)
        os.environ["TMPDIR"] = tempfile.tempdir = folder.name


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A storm takes its minutes: the timeout of the other tests is not for it."""
    skip_those_in_files(config, items)
    for item in items:
        if item.get_closest_marker("storm"):
            item.add_marker(pytest.mark.timeout(0))


def pytest_collection_finish() -> None:
    """Take what was collected out of the garbage collection, which else goes through it for each of many tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def disk_path() -> Iterator[Path]:
    """A folder on a disk, for tests of what a disk keeps."""
    with tempfile.TemporaryDirectory(prefix="team-mail-disk-", dir="/var/tmp") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def poem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a file of thirty lines on `main`, made once to be copied."""
    folder = tmp_path_factory.mktemp("poem")
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "poem.txt").write_text("".join(f"line {number}\n" for number in range(30)))
    git(folder, "add", "poem.txt")
    git(folder, "commit", "--quiet", "-m", "Begin")
    return folder


@pytest.fixture
def team(tmp_path: Path, poem: Path) -> Team:
    """A repository with a file of thirty lines on `main`, and personas ann, bob and cyd."""
    team = Team(shutil.copytree(poem, tmp_path / "project", symlinks=True))
    team.roster("ann", "bob", "cyd")
    return team
