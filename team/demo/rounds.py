"""The rounds that orion's demo plays, how long each has to take, and the table of what was measured. No clock, no disk.

The seconds of the personas are those of the seed, the description that this team is from; so are the figures in its
column.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from ...scheduler.kinds import Mode
from .crew import SECONDS

MOST = 0.6  # seconds that a round may take on top of the work
_DAY = 86_400  # seconds
_CENT = Decimal("0.01")
_FIRST, _LATER = ({name: pair[place] for name, pair in SECONDS.items()} for place in (0, 1))


@dataclass(frozen=True)
class Round:
    """A kind of round. `computed` and `seed` are seconds at full length; the seed knows nothing of some.

    `asked` works only when asked, and `careless` has nova first write what is vetoed. One that `follows` is played
    after another round, which is not measured.
    """

    name: str
    title: str
    computed: float
    how: str
    seed: float | None = None
    mode: str = Mode.PARALLEL
    review: str = "this round"
    asked: tuple[str, ...] = ()
    careless: bool = False
    follows: bool = False


@dataclass(frozen=True)
class Measured:
    """A round that was played: its seconds from the first event to the last."""

    round: Round
    seconds: float
    speed: float

    @property
    def expected(self) -> float:
        """How long the work takes at this speed."""
        return self.round.computed / self.speed

    @property
    def overhead(self) -> float:
        """What the round took on top of the work."""
        return round(self.seconds - self.expected, 6)

    @property
    def whole(self) -> float:
        """How long a round takes at full length: the work, and what this one took on top."""
        return self.round.computed + self.overhead


def _rounds() -> tuple[Round, ...]:
    nova, cipher, flux = _FIRST["nova"], _FIRST["cipher"], _FIRST["flux"]
    at_once = max(seconds for name, seconds in _FIRST.items() if name != "flux")
    others = max(nova, _FIRST["pixel"], _FIRST["echo"]) + max(_LATER["pixel"], _LATER["echo"])
    mended = max(nova + cipher, others) + nova + max(cipher, _LATER["pixel"], _LATER["echo"])
    return (
        Round(
            "sequence", "one after the other", sum(_FIRST.values()), "nova, cipher, pixel, echo, flux", 38.0,
            mode=Mode.SEQUENTIAL, asked=("pixel", "echo"),
        ),
        Round(
            "last", "at once, reports on the last round", at_once + flux, "the slowest, pixel; flux", 15.0,
            review="last round", follows=True,
        ),
        Round("this", "at once, reports on this round", max(nova + cipher, others) + flux, "nova, cipher, flux"),
        Round("veto", "the same, with a veto", mended + flux, "nova, cipher, nova, cipher, flux", careless=True),
    )  # fmt: skip


ROUNDS = _rounds()


def table(measured: Sequence[Measured]) -> Iterator[str]:
    """Set the seed, what was computed and what was measured side by side; name what took too long."""
    speed = measured[0].speed
    scaled = speed != 1
    yield _row("", "seed", "computed", *([f"at {speed:g}x"] if scaled else []), "measured", "on top")
    for each in measured:
        told = "-" if each.round.seed is None else f"{each.round.seed:g} s"
        expected = [f"{each.expected:.2f} s"] if scaled else []
        cells = (told, f"{each.round.computed:g} s", *expected, above(each.seconds), above(each.overhead))
        yield f"{_row(each.round.title, *cells)}   {each.round.how}"
    yield ""
    missed = [each for each in measured if each.overhead > MOST]
    for each in missed:
        yield f"missed: {each.round.title}, {above(each.overhead)} on top of the work, and {MOST:g} s is the most"
    if not missed:
        yield f"no round took more than {MOST:g} s on top of the work"


def daily(measured: Sequence[Measured]) -> Iterator[str]:
    """Say how many rounds a day has, by what was measured, beside what the seed says."""
    told = {"sequence": "95", "last": "5760"}
    yield _row("", "seed", "measured")
    for each in measured:
        if not each.round.careless:
            yield _row(each.round.title, told.get(each.round.name, "-"), str(math.floor(_DAY / each.whole)))
    yield ""
    first, last = measured[0], measured[1]
    wrong = math.floor(_DAY / (first.round.seed or first.round.computed))
    yield f"the seed's own {first.round.seed:g} s make {wrong} rounds a day, not 95: at once is"
    yield f"{first.whole / last.whole:.2f} times as fast, not 60 times"


def above(seconds: float) -> str:
    """Format seconds with two digits, never less than they are: 0.601 s is 0.61 s."""
    return f"{Decimal(f'{seconds:.6f}').quantize(_CENT, ROUND_CEILING)} s"


def _row(title: str, *cells: str) -> str:
    return f"{title:<34}" + "".join(f"{cell:>10}" for cell in cells)
