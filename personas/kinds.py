"""The statuses that a run's outcome can have, each spelled here and nowhere else."""

from __future__ import annotations

from enum import StrEnum


class OutcomeStatus(StrEnum):
    """The status of an `Outcome`."""

    OK = "ok"
    FAILED = "failed"
    SETUP = "setup"
    TIMEOUT = "timeout"
    QUOTA = "quota"
    LIMITED = "limited"
    STOPPED = "stopped"
