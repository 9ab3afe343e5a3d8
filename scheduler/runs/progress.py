"""Progress of one run: that it started, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...mail.process import shown
from ...personas.agent import Outcome
from ...personas.spending.usage import Usage
from ..foretell.places import Places
from ..progress import Progress
from ..state.usage import total
from .launch import Launch
from .run import RunResult


@dataclass(frozen=True)
class RunStarted(Progress):
    """A run is on record and about to start its agent."""

    launch: Launch


@dataclass(frozen=True)
class RunOffered(Progress):
    """A run is there for a worker to take, and goes on without this process."""

    launch: Launch


@dataclass(frozen=True)
class RunTaken(Progress):
    """A worker has a run that was offered; `worker` names its process."""

    launch: Launch
    worker: Mapping[str, Any]


@dataclass(frozen=True)
class SetUpFailed(Progress):
    """The set-up of a run's workspace failed; `output` are the last lines that it printed."""

    launch: Launch
    output: tuple[str, ...]


@dataclass(frozen=True)
class RunEnded(Progress):
    """A run's end is on record. `files` counts the files that its patch changes."""

    launch: Launch
    outcome: Outcome
    files: int = 0


@dataclass(frozen=True)
class RunUsed(Progress):
    """The stream of a run has told more of what it used so far."""

    launch: Launch
    usage: Usage


@dataclass(frozen=True)
class RunPlaced(Progress):
    """Where a run is by now: in which lines of which files."""

    launch: Launch
    places: Places


@dataclass(frozen=True)
class RunLeftOpen(Progress):
    """A run goes on without the scheduler, which ends; the next one takes it over."""

    launch: Launch


def run_taken_over(launch: Launch) -> Progress:
    """Return the progress report of a run that a scheduler takes over: an earlier one ended, as each tick does."""
    return Progress(f"{launch.name} (attempt {launch.attempt}): taken over; it had been left going")


def run_left(launch: Launch) -> RunLeftOpen:
    """Return the progress report of a run that is left going."""
    return RunLeftOpen(f"{launch.name} (attempt {launch.attempt}): goes on without this scheduler", launch)


def run_started(launch: Launch) -> RunStarted:
    """Return the progress report of a run that starts."""
    return RunStarted(f"{launch.name} (attempt {launch.attempt}): running", launch)


def run_offered(launch: Launch) -> RunOffered:
    """Return the progress report of a run that is offered to workers."""
    return RunOffered(f"{launch.name} (attempt {launch.attempt}): offered to workers", launch)


def run_taken(launch: Launch, worker: Mapping[str, Any]) -> RunTaken:
    """Return the progress report of a run that a worker has taken."""
    return RunTaken(f"{launch.name} (attempt {launch.attempt}): taken by {shown(worker)}", launch, worker)


def setup_failed(launch: Launch, outcome: Outcome, output: tuple[str, ...]) -> SetUpFailed:
    """Return the progress report of a set-up that failed."""
    return SetUpFailed(f"{launch.name} (attempt {launch.attempt}): {outcome.detail}", launch, output)


def run_used(launch: Launch, usage: Usage) -> RunUsed:
    """Return the progress report of a run whose stream has told more of what it used."""
    return RunUsed(f"{launch.name} (attempt {launch.attempt}): {total([usage]).text} so far", launch, usage)


def run_placed(launch: Launch, places: Places) -> RunPlaced:
    """Return the progress report of where a run is."""
    return RunPlaced(f"{launch.name} (attempt {launch.attempt}): in {places.shown or 'no file'}", launch, places)


def run_ended(launch: Launch, result: RunResult) -> RunEnded:
    """Return the progress report of a run that has ended."""
    outcome = result.outcome
    text = f"{launch.name} (attempt {launch.attempt}): {outcome.status} after {outcome.seconds:.1f} s, {outcome.detail}"
    return RunEnded(text, launch, outcome, len(result.captured.files) if result.captured else 0)
