"""Runs on three hosts beside the ideal and beside one host: rows of `cluster.py`.

Each host is a home of its own with a clone of the repository and a `team worker`, all on this machine; agents sleep, so
that its processors do not matter much.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from table import Row, seconds
from team_mail.mail.open import open_log
from team_mail.mail.remote.connection import Server
from team_mail.team.api.dispatches import read_config
from team_mail.team.api.sprints import run_sprint
from team_mail.team.dispatcher import ParallelDispatcher
from team_mail.team.open import open_team

TEAM = str(Path(sys.executable).with_name("team"))
RUNS, SLOTS, OVER_IDEAL = 100, 12, 1.25
PERSONAS, EACH, FASTER = 23, 8, 2.5
AGAIN = 3.0  # seconds
WHO = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (("NAME", "bench"), ("EMAIL", "bench@team-mail.invalid"), ("DATE", "2026-01-01T00:00:00Z"))
}
SETTINGS = """\
[log]
url = "{url}"
name = "{name}"
[team]
agent = "shell"
[agents.shell]
command = ["sh", "-c", "{command}"]
[sprint]
max_parallel = 24
[workers]
offer = true
"""


class Hosts:
    """The hosts of one team whose agent is a command of the shell."""

    def __init__(self, folder: Path, server: Server, command: str, personas: int = 1) -> None:
        self._folder, self._server, self._command = folder, server, command
        self.workers: list[subprocess.Popen[bytes]] = []
        top = folder / "repository"
        (top / ".team" / "personas").mkdir(parents=True)
        for number in range(personas):
            (top / ".team" / "personas" / f"p{number}.md").write_text("Do your part.\n")
        for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "Begin"]):
            self._git(top, *words)
        self.leader = self.home("leader")

    def _git(self, top: Path, *words: str) -> str:
        env = os.environ | WHO
        return subprocess.run(["git", *words], cwd=top, check=True, env=env, stdout=-1, text=True).stdout.strip()

    def home(self, name: str) -> Path:
        top, (url, schema) = self._folder / name, self._server.address
        self._git(self._folder, "clone", "-q", "repository", name)
        text = SETTINGS.format(url=url, name=schema, command=self._command)
        (top / ".team" / "team.toml").write_text(text)
        return top / ".team"

    def tree(self, branch: str) -> str:
        return self._git(self.leader.parent, "rev-parse", f"{branch}^{{tree}}")

    def work(self, name: str, slots: int) -> None:
        """Start a worker, and wait until it has told that it is there."""
        home, log, null = self.home(name), open_log(self.leader), subprocess.DEVNULL
        self.workers.append(
            subprocess.Popen([TEAM, "worker", "--slots", str(slots)], cwd=home.parent, stdout=null, stderr=null)
        )
        pid = self.workers[-1].pid
        while all(each.process["pid"] != pid for each in log.presences()):
            time.sleep(0.05)

    def end(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()


@contextmanager
def hosts(folder: Path, name: str, schema: Callable[[], Server], command: str, personas: int = 1) -> Iterator[Hosts]:
    """Make the hosts of a team, and end their workers."""
    (folder / name).mkdir()
    made = Hosts(folder / name, schema(), command, personas)
    try:
        yield made
    finally:
        made.end()


def dispatch(made: Hosts, tasks: int, at_once: int) -> float:
    """Carry out tasks; return the seconds that it took."""
    config = read_config({"max_workers": at_once, "trace_dir": str(made.leader / "work" / "traces")})
    dispatcher = ParallelDispatcher(config, home=made.leader)
    given = [{"task_id": f"t{number}", "agent": "p0", "description": "Sleep."} for number in range(tasks)]
    began = time.perf_counter()
    done = dispatcher.dispatch(given)
    taken = time.perf_counter() - began
    if any(result.status != "success" for result in done.results):
        sys.exit(f"a run failed: {[result.error for result in done.results if result.error][:3]}")
    return taken


def handed_out(folder: Path, schema: Callable[[], Server]) -> Iterator[Row]:
    """A hundred runs of a second on twelve slots of three hosts, beside the time that they take by themselves."""
    with hosts(folder, "handed", schema, "sleep 1") as made:
        for number in range(3):
            made.work(f"host{number}", SLOTS // 3)
        dispatch(made, SLOTS, SLOTS)
        own, ideal = dispatch(made, RUNS, SLOTS), RUNS / SLOTS
    what = f"{RUNS} runs of 1 s on {SLOTS} slots of 3 hosts"
    ratio = own / ideal
    yield Row(
        what, f"{own:.1f} s", f"the ideal: {ideal:.1f} s", f"{ratio:.2f}", f"≤ {OVER_IDEAL:g}", ratio <= OVER_IDEAL
    )


def more_hosts(folder: Path, schema: Callable[[], Server], work: float) -> Iterator[Row]:
    """A sprint of 23 personas on three hosts with eight slots each, beside the same on one."""
    taken: list[float] = []
    trees = set[str]()
    for number in (3, 1):
        command = f"sleep {work:g}; echo $TEAM_PERSONA > $TEAM_PERSONA.txt"
        with hosts(folder, f"sprint{number}", schema, command, PERSONAS) as made:
            for each in range(number):
                made.work(f"host{each}", EACH)
            context = open_team(made.leader, {})
            taken.append(seconds(lambda context=context: _converged(run_sprint(context))))
            trees.add(made.tree("team/sprint-1"))
    ratio = taken[1] / taken[0]
    tree = "the same tree" if len(trees) == 1 else "ANOTHER TREE"
    what = f"a sprint of {PERSONAS} personas with {work:g} s of work on 3 hosts of {EACH} slots, {tree}"
    met = ratio >= FASTER and len(trees) == 1
    yield Row(
        what, f"{taken[0]:.1f} s", f"on 1 host: {taken[1]:.1f} s", f"{ratio:.2f}", f"≥ {FASTER:g} times as fast", met
    )


def _converged(result: Any) -> None:
    if not result.converged:
        sys.exit(f"the sprint did not converge: {result.summary}")


def killed(folder: Path, schema: Callable[[], Server]) -> Iterator[Row]:
    """A worker is killed in the middle of a dispatch: when it counts as gone, and when its runs are offered again."""
    with hosts(folder, "killed", schema, "sleep 1") as made, ThreadPoolExecutor(1) as threads:
        for number in range(2):
            made.work(f"host{number}", 4)
        log, first = open_log(made.leader), made.workers[0]
        running = threads.submit(dispatch, made, 40, 8)
        taken = next(
            event for event in log.follow(0)
            if event.kind == "run.taken" and event.data["worker"]["pid"] == first.pid
        )  # fmt: skip
        first.kill()
        began = time.perf_counter()
        while log.present(taken.data["worker"]):
            time.sleep(0.01)
        gone = time.perf_counter()
        next(event for event in log.follow(taken.seq) if event.kind == "run.offered" and event.data["epoch"] == 2)
        again = time.perf_counter() - gone
        running.result()
        ends = [event.run for event in log.read() if event.kind == "run.finished"]
        lost, twice = 40 - len({*ends}), len(ends) - len({*ends})
    told = f"{again:.2f} s, {lost} lost, {twice} twice"
    met = again <= AGAIN and not lost and not twice
    what = f"worker killed: counts as gone after {gone - began:.1f} s → offered again"
    yield Row(what, told, "", "", f"≤ {AGAIN:g} s, none", met)
