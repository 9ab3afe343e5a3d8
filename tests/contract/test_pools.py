"""Runners over the processes of a pool and of Dask keep the promises of any Runner: only values cross the seam."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from team_mail.personas.agent import Assignment
from team_mail.scheduler.context import Context
from team_mail.scheduler.runs.launch import Launch
from team_mail.scheduler.runs.run import Batch
from team_mail.team.open import open_team

from ..pooled import PooledRunner

ROOT = Path(__file__).parent.parent.parent
SETTINGS = """\
[agents.shell]
command = ["sh", "-c", "echo new > new.txt; echo '{\\"pid\\": '$PPID'}' > .team/run/output.json"]
"""
TASK = Assignment("d" * 32, "write", "Write a file.", {"numbers": [1, 2.5, None]})
ANN = partial(Launch, "ann", "shell", 1, 1, "batch", "first launch of the sprint")


@contextmanager
def processes() -> Iterator[Executor]:
    """A pool of the standard library, whose processes have nothing of this one."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield pool


@contextmanager
def dask() -> Iterator[Executor]:
    """The executor of a Dask client, with a worker in a process of its own."""
    distributed = pytest.importorskip("distributed", reason="install the group `pools`: make pools")
    with (
        distributed.LocalCluster(
            1, threads_per_worker=1, dashboard_address=None, worker_dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client.get_executor()


@pytest.fixture(params=[processes, dask], ids=lambda make: make.__name__)
def executor(request, monkeypatch) -> Iterator[Executor]:
    monkeypatch.syspath_prepend(str(ROOT))  # what the processes import the function from
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with request.param() as made:
        yield made


@pytest.fixture
def context(team) -> Context:
    (team.home / "team.toml").write_text(SETTINGS)
    return open_team(team.home, {})


def test_a_runner_over_processes_of_others(executor, context):
    """A run, one that fails, a task with a result, and one that nobody knows anything of: as on threads."""
    runner, base = PooledRunner(context.home, executor), context.base()
    batch = Batch(1, 1, base, "team/sprint-1", 60.0)
    done = runner.run(ANN(), batch)
    assert done
    assert (done.outcome.status, done.captured and done.captured.files) == ("ok", ("new.txt",))
    assert b"+new" in done.captured.patch
    task = runner.run(Launch("bob", "shell", 1, 0, "task", "task write", assignment=TASK), batch)
    assert task
    assert task.outcome.output["pid"] != os.getpid()
    lost = runner.harvest(Launch("cyd", "shell", 1, 1, "batch", "left by another"), batch)
    assert lost
    assert lost.given_up
    events = [
        event for event in context.mailbox.log.read() if event.kind in {"run.started", "run.finished", "run.lost"}
    ]
    assert [(event.kind, event.data["persona"]) for event in events] == [
        ("run.started", "ann"), ("run.finished", "ann"), ("run.started", "bob"), ("run.finished", "bob"),
        ("run.lost", "cyd"),
    ]  # fmt: skip
    supervisors = {event.data["supervisor"]["pid"] for event in events if event.kind == "run.started"}
    assert os.getpid() not in supervisors
