"""Where a benchmark of mail keeps its files, and the log that it grows there."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from team_mail.mail.log.event import Draft
from team_mail.mail.log.log import EventLog
from writers import BODY, PERSONAS

BATCH = 2_000
RECENT = 20_000


@dataclass
class Bench:
    """Where a run keeps its files, and how long it takes over a row."""

    folder: Path
    quick: bool
    log: Path = field(init=False)
    built: int = 0
    pending: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.log = self.folder / "team" / "mail"
        self.dice = random.Random(21)

    @property
    def seconds(self) -> float:
        """How long writers write in each round."""
        return 0.25 if self.quick else 1.0

    @property
    def large(self) -> int:
        return 100_000 if self.quick else 1_000_000

    def grow(self, events: int) -> None:
        """Bring the log up to so many events: 60 % mail to one or two, 40 % marks by those who got it."""
        from team_mail.mail.query.copies import write_parquet

        with ThreadPoolExecutor(1) as copies:
            log = EventLog(self.log, on_sealed=lambda segment: copies.submit(write_parquet, segment))
            while self.built < events:
                size = min(BATCH, max(100, events // 100), events - self.built)
                written = log.append([self.draft() for _ in range(size)])
                self.pending += [(e.id, who) for e in written if e.kind == "mail.sent" for who in e.recipients]
                del self.pending[:-RECENT]
                self.built += size

    def draft(self) -> Draft:
        if self.pending and self.dice.random() < 0.4:
            place = self.dice.randrange(len(self.pending))
            self.pending[place], self.pending[-1] = self.pending[-1], self.pending[place]
            ref, who = self.pending.pop()
            return Draft(self.dice.choice(("mail.read", "mail.read", "mail.read", "mail.acked")), who, ref=ref)
        sender, *to = self.dice.sample(PERSONAS, self.dice.choice((2, 3)))
        return Draft("mail.sent", sender, tuple(to), f"Chapter {self.built}", BODY)
