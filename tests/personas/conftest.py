"""Jobs whose processes can be found again by the name of their run."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import psutil
import pytest
from team_mail.personas.agent import Job
from team_mail.personas.agents.command import CommandAgent
from team_mail.personas.running.process import RunLimits


@pytest.fixture
def job(tmp_path, request) -> Callable[..., Job]:
    """Make a job with a run id of its own, so that its processes can be found."""
    (tmp_path / "work").mkdir()
    run = f"run-{os.getpid()}-{re.sub(r'[^a-z0-9]+', '-', request.node.name.lower())}"

    def make(prompt="do it", timeout=20.0, attempt=1, persona="bob") -> Job:
        folder = tmp_path / "runs" / run
        return Job(run, persona, attempt, 7, prompt, tmp_path / "work", folder, tmp_path, timeout)

    return make


@pytest.fixture
def shell() -> Callable[..., CommandAgent]:
    """Make an agent that runs a line of shell, with a short grace period."""
    quick = RunLimits(grace=0.2)
    return lambda script, **settings: CommandAgent("a", ("sh", "-c", script), **({"limits": quick} | settings))


@pytest.fixture
def output() -> Callable[[Job], str]:
    """Read what the agent of a job printed."""
    return lambda job: (job.folder / "output.log").read_text()


@pytest.fixture
def survivors() -> Callable[[str], list[psutil.Process]]:
    """Find every living process with a run's id in its environment or on its command line."""

    def find(run: str) -> list[psutil.Process]:
        processes: list[psutil.Process] = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("TEAM_RUN") == run or any(run in word for word in process.cmdline()):
                    processes.append(process)
            except psutil.Error:
                continue
        return [process for process in processes if process.pid != os.getpid()]

    return find
