"""The words of the engine: its event kinds and every status, each spelled here and nowhere else."""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    """How a sprint runs: all personas of a tick at once, or one after the other."""

    PARALLEL = "parallel"
    SEQUENTIAL = "sequential"
