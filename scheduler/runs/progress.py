"""What is told of a run while a sprint or a dispatch goes on: that it started, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass

from ...personas.agent import Outcome
from ..progress import Progress
from .launch import Launch


@dataclass(frozen=True)
class RunStarted(Progress):
    """A run is on record and about to start its agent."""

    launch: Launch


@dataclass(frozen=True)
class RunEnded(Progress):
    """A run's end is on record. `files` counts the files that its patch changes."""

    launch: Launch
    outcome: Outcome
    files: int = 0
