"""Who has to wait because somebody has claimed files that it would change: personas, tasks, commits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from .decide import Moment, taken
from .facts import Claim
from .lease import why_over
from .overlap import holding, overlapping

_LOOK = timedelta(seconds=10)  # until the next look at a claim that no lease ends


class Barred(NamedTuple):
    """Which of the paths somebody has, whose claim that is, and when to look again."""

    path: str
    claim: Claim
    until: datetime

    @property
    def why(self) -> str:
        """The reason, for people."""
        return f"{self.path} is {taken(self.claim)}"


def barred(moment: Moment, paths: Sequence[str]) -> Barred | None:
    """Return the first claim that goes on of which some globs may match a path; None if there is none."""
    for claim in _going(moment):
        if path := overlapping(paths, claim.globs):
            return Barred(path, claim, claim.until if claim.process is None else moment.now + _LOOK)
    return None


def all_barred(moment: Moment, paths: Mapping[str, Sequence[str]]) -> dict[str, Barred]:
    """Return of everybody with paths, by name, what bars it, if anything does."""
    bars = ((name, barred(moment, globs)) for name, globs in paths.items())
    return {name: bar for name, bar in bars if bar}


def guarded(moment: Moment, files: Iterable[bytes | str], owner: str) -> list[tuple[str, Claim]]:
    """Return the files that others than an owner have claimed, each with the claim."""
    claims = [claim for claim in _going(moment) if claim.owner != owner]
    pairs = ((file, holding(file, claims)) for file in files)
    return [(file if isinstance(file, str) else file.decode(errors="replace"), claim) for file, claim in pairs if claim]


def of_others(moment: Moment, owner: str) -> tuple[tuple[str, str], ...]:
    """Return the paths that others than an owner have claimed, each with whose they are and until when."""
    claims = [claim for claim in _going(moment) if claim.owner != owner]
    return tuple((glob, taken(claim)) for claim in claims for glob in claim.globs)


def _going(moment: Moment) -> list[Claim]:
    return [claim for claim in moment.fold.current if claim.globs and not why_over(claim, moment.now, moment.look)]
