"""The tables `[schedules.NAME]`: what is done at which times, without anybody there."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ...mail.text.units import span
from .supervision import Table
from .values import Crontab, Limit, Name

_LEAST = 10.0  # seconds between two times


class ScheduleSettings(Table):
    """`[schedules.NAME]`: a request in plain words (`ask`), the path of a `tasks.json` (`dispatch`), or a `sprint`.

    A sprint is for `"all"`, or for the personas that are listed. `agent` plays the tasks of the first two. Of times
    that nobody was there for, the last one is made up for `once`, or none is. While the last one goes on, times are
    skipped, or `wait` for its end.
    """

    ask: Annotated[str, Field(min_length=1, max_length=4_000)] | None = None
    dispatch: Annotated[str, Field(min_length=1)] | None = None
    sprint: Literal["all"] | tuple[Name, ...] | None = None
    cron: Crontab | None = None
    every: Limit | None = None
    on_missed: Literal["once", "skip"] = "once"
    overlap: Literal["skip", "wait"] = "skip"
    agent: Name | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        given = [name for name in ("ask", "dispatch", "sprint") if getattr(self, name) not in {None, ()}]
        if len(given) != 1:
            raise ValueError(
                'needs one of ask, dispatch and sprint: write ask = "Check the links", dispatch = "nightly.json", '
                'or sprint = "all"'
            )
        if (self.cron is None) == (self.every is None):
            raise ValueError('needs one of cron and every: write cron = "0 9 * * mon-fri", or every = "6h"')
        if self.every is not None and self.every < _LEAST:
            raise ValueError(f'has every = "{span(self.every)}", and {span(_LEAST)} is the least')
        if self.agent and self.sprint is not None:
            raise ValueError("says agent, and the agents of a sprint are those of its personas: leave it out")
        return self

    @property
    def spec(self) -> str:
        """When it is due, as text: if that changes, times count anew."""
        return f"cron {self.cron}" if self.cron else f"every {span(self.every or 0)}"

    @property
    def what(self) -> str:
        """What is done, in a few words."""
        if self.ask:
            return f"ask {self.ask!r}"
        if self.dispatch:
            return f"dispatch {self.dispatch}"
        return "sprint for all" if self.sprint == "all" else f"sprint for {', '.join(self.sprint or ())}"
