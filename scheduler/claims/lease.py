"""When a claim is over: its process has ended, or its time is up and no process goes on with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import Enum, auto

from ...mail.errors import UsageError
from ...mail.process import alive, is_here, is_suspended
from ...mail.text.units import seconds
from .facts import Claim
from .fold import LONGEST, SHORTEST

DEFAULT = "15m"


class Presence(Enum):
    """What is known of the process of a claim, now."""

    UNKNOWN = auto()  # it has none, or one of another machine
    WORKING = auto()
    SUSPENDED = auto()
    GONE = auto()


Look = Callable[[Claim], Presence]


def presence(claim: Claim) -> Presence:
    """Look whether the process of a claim goes on."""
    if claim.process is None or not is_here(claim.process):
        return Presence.UNKNOWN
    if not alive(claim.process):
        return Presence.GONE
    return Presence.SUSPENDED if is_suspended(claim.process) else Presence.WORKING


def why_over(claim: Claim, now: datetime, look: Look = presence) -> str:
    """Say why a claim is over; "" if it goes on.

    One whose process works goes on however long that takes, and one whose process has ended is over at once. Without a
    process that can be seen, or with a suspended one, the lease decides.
    """
    state = look(claim)
    if state == Presence.GONE and claim.process:
        return f"its process {claim.process.get('pid')} has ended"
    if state == Presence.WORKING or now < claim.until:
        return ""
    return "its time was up"


def lease_of(text: str) -> float:
    """Parse a lease, from a second to a day, in seconds. Raises UsageError."""
    try:
        lease = seconds(float(text) if text.replace(".", "", 1).isdigit() else text)
    except ValueError as error:
        raise UsageError(f"--lease {text!r} {error}") from None
    if not SHORTEST <= lease <= LONGEST:
        raise UsageError(f"--lease {text!r} must be from 1s to 24h; a claim can be renewed")
    return lease
