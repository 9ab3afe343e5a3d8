"""Runs in processes of others: what is submitted is a function of a module, and values. See contract/test_pools.py."""

from __future__ import annotations

import threading
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from team_mail.scheduler.runs.launch import Launch
from team_mail.scheduler.runs.local import LocalRunner
from team_mail.scheduler.runs.run import Batch, RunResult
from team_mail.scheduler.runs.watch import Watch
from team_mail.team.open import open_team


@dataclass
class PooledRunner:
    """A Runner whose runs go on in the processes of an executor, whoever made it."""

    home: Path
    executor: Executor

    def run(self, launch: Launch, batch: Batch) -> RunResult | None:
        return self.executor.submit(carried_out, self.home, launch, batch).result()

    def harvest(self, launch: Launch, batch: Batch, *, stop: bool = False) -> RunResult | None:
        return self.executor.submit(harvested, self.home, launch, batch, stop).result()


def carried_out(home: Path, launch: Launch, batch: Batch) -> RunResult | None:
    context = open_team(home, {})
    with Watch(context, threading.Event()) as watch:
        return LocalRunner(context, watch).run(launch, batch)


def harvested(home: Path, launch: Launch, batch: Batch, stop: bool) -> RunResult | None:
    context = open_team(home, {})
    with Watch(context, threading.Event()) as watch:
        return LocalRunner(context, watch).harvest(launch, batch, stop=stop)
