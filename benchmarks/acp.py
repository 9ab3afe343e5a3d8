"""The start of a run over ACP beside the bare command: from the start of its process to its first request to a model.

The agents are the real ones of `make agents`, and the model is a server on loopback that only notes when it is asked.
Both ways take turns, with the same prompt, in the same repository and home folder, after a start that counts for
nothing. `python benchmarks/acp.py [AGENT…]`; with `--mail`, a session with mail tools beside one without.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent))

from table import Row, show
from team_mail.personas.acp.agent import acp_agent
from team_mail.personas.agents.command import CommandAgent
from team_mail.team.open import mail_server

from tests.agents.clis import CLIS, FOLDER, INSTALLED, Cli
from tests.agents.ending import end_all_of
from tests.agents.model import Call, Model, Request

TARGET = 0.8
PATIENCE = 60.0
PROMPT = "You are `ann`. Say that you are done.\n"


class Clock(Model):
    """A model that notes when it is asked for the first time."""

    asked: threading.Event
    at: float

    def answer(self, request: Request) -> str | Call:
        """Note the time."""
        if not self.asked.is_set():
            self.at = time.perf_counter()
            self.asked.set()
        return super().answer(request)


class Place:
    """The repository and the home folder of one agent."""

    def __init__(self, cli: Cli, folder: Path, model: Clock) -> None:
        self._model = model
        self._project, home = folder / "project", folder / "home"
        for each in (self._project, home):
            each.mkdir()
        subprocess.run(["git", "init", "--quiet"], cwd=self._project, check=True)
        (self._project / ".team" / "personas").mkdir(parents=True)
        (self._project / ".team" / "personas" / "ann.md").write_text("---\nid: ann\n---\nDo your part.\n")
        path = os.pathsep.join([*map(str, INSTALLED), *os.get_exec_path()])
        more = cli.environment(home, model.url())
        self._env = {
            "PATH": path,
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "SHELL": "/bin/bash",
            "TEAM_PERSONA": "ann",
            **more,
        }

    def start(self, words: Sequence[str]) -> float:
        """Start a command; return how many seconds later the model is asked."""
        self._model.asked = threading.Event()
        began = time.perf_counter()
        process = subprocess.Popen(
            words, cwd=self._project, env=self._env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        assert process.stdin
        process.stdin.write(PROMPT.encode())
        process.stdin.close()
        was_asked = self._model.asked.wait(PATIENCE)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        end_all_of(self._env["HOME"])
        if not was_asked:
            raise SystemExit(f"{words[0]} never asked its model")
        return self._model.at - began


def measure(cli: Cli, runs: int, *, mail: bool) -> Row:
    """Measure one agent both ways, in turn: over ACP and bare, or with mail tools and without."""
    known, model = cli.preset, cli.more.get("model")
    assert known.acp
    agent = acp_agent(CommandAgent(known.name, known.acp.command), preset=known.name)
    chosen = [word.replace("{model}", model) for word in known.acp.model] if model else []

    def spoken(*server: str) -> list[str]:
        orders = replace(agent.orders, mail=server).text()
        return [sys.executable, "-P", "-m", "team_mail.personas.acp.play", orders, *agent.command, *chosen]

    contender, target = ("without mail tools", 2.0) if mail else ("the bare command", TARGET)
    ways = (spoken(*mail_server()), spoken()) if mail else (spoken(), [*known.words(model)])
    FOLDER.joinpath("work").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER / "work") as folder, Clock() as clock:
        place = Place(cli, Path(folder), clock)
        for words in ways:
            place.start(words)
        pairs = [tuple(place.start(words) for words in ways) for _ in range(runs)]
    ours, bare = (median(each) for each in zip(*pairs, strict=True))
    more = median(acp - command for acp, command in pairs)
    print(f"{known.name}: {ours:.2f} s; {contender}: {bare:.2f} s, {more:+.2f} s", file=sys.stderr)
    return Row(
        f"{known.name}, from its start to its first request", f"{ours:.2f} s", f"{contender}: {bare:.2f} s",
        f"{ours / bare:.2f}", f"≤ +{target} s ({more:+.2f} s)", more <= target,
    )  # fmt: skip


def main() -> None:
    """Measure the agents that are named, by default all that speak ACP."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("agents", nargs="*", default=[name for name, cli in CLIS.items() if cli.preset.acp])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--mail", action="store_true")
    given = parser.parse_args()
    show([measure(CLIS[name], given.runs, mail=given.mail) for name in given.agents])


if __name__ == "__main__":
    main()
