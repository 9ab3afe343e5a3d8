"""The tables of the supervisor: gates, the loop of rounds, what reviewers are shown, and the deployment.

Durations are in seconds.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .values import Command, Finite, Limit, Name, Seconds, Variable

_LONGEST = 200  # characters of what a gate says


class Table(BaseModel):
    """A table of the settings: nothing in it changes, and nothing else may stand there."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class GateSettings(Table):
    """`[gates.NAME]`: a command, or the report of a persona, that has to pass.

    A command passes by its exit code, or by the number `key` in the JSON that it prints; `parallel` is how many of its
    runs may go on at once, by default as many as the machine has room for. A report passes unless it says `veto`, or
    by its number `key`. `says` is the decision where it does not pass.
    """

    command: Command | None = None
    report: Name | None = None
    veto: bool = False
    timeout: Limit = 600.0
    threshold: Finite | None = None
    at_most: Finite | None = None
    key: Annotated[str, Field(min_length=1)] | None = None
    says: Annotated[str, Field(min_length=1, max_length=_LONGEST)] | None = None
    parallel: Annotated[int, Field(ge=1, le=100)] | None = None

    @model_validator(mode="after")
    def _judged(self) -> Self:
        if (self.command is None) == (self.report is None):
            raise ValueError(
                'needs one of command and report, and not both: write command = ["make", "test"], '
                'or report = "cipher" for the word of a persona'
            )
        bounds = self.threshold is not None or self.at_most is not None
        if self.key is not None and not bounds:
            raise ValueError("has key but no threshold: write the least number that passes, as in threshold = 0.8")
        if self.command:
            if self.veto or self.at_most is not None:
                raise ValueError(f"has {'veto' if self.veto else 'at_most'}, which only a report is judged by")
        elif self.veto and bounds:
            raise ValueError("has both veto and a threshold: write a gate for each")
        elif not (self.veto or bounds):
            raise ValueError('says not what the report is judged by: write veto = true, or key = "score" and threshold')
        return self


class SupervisorSettings(Table):
    """`[supervisor]`: rounds one after the other, for `scheduler run --continuous`.

    `name` is what its decisions are signed with. Reports are on what landed in `this round` or in the `last round`,
    which takes less time. A round in which nothing changed is started only with `improve`. After `fix_streak` rounds
    blocked by the same gate, `silent_rounds` in which nothing landed, or `own_rounds` that began only because the one
    before had landed something, the team is paused.
    """

    name: Annotated[str, Field(min_length=1, max_length=64)] = "supervisor"
    review: Literal["this round", "last round"] = "this round"
    backoff_max: Seconds = 20.0
    fix_streak: Annotated[int, Field(ge=1, le=1000)] = 8
    silent_rounds: Annotated[int, Field(ge=1, le=1000)] = 4
    own_rounds: Annotated[int, Field(ge=1, le=100_000)] = 20
    improve: bool = False
    max_rounds: Annotated[int, Field(ge=1)] | None = None
    max_time: Limit | None = None


class ReviewSettings(Table):
    """`[review.PERSONA]`: a command that makes files from the tree that landed, to be attached to its review mail.

    Its word `{out}` stands for the folder where it writes them.
    """

    before: Command
    timeout: Limit = 600.0


class DeploySettings(Table):
    """`[deploy]`: what is done with a tree that was approved, by a command or a persona, at most once by itself.

    `check` tells by its exit code, after a crash in the middle, whether the commit is live.
    """

    command: Command | None = None
    persona: Name | None = None
    approve: Literal["never", "always"] = "never"
    check: Command | None = None
    timeout: Limit = 600.0
    env: tuple[Variable, ...] = ()

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.command and self.persona:
            raise ValueError("says both command and persona: keep one")
        if self.persona and (self.approve == "always" or self.check):
            raise ValueError("says persona, whose run begins with its round: approve and check are for a command")
        if not self.is_set and self.model_fields_set:
            raise ValueError('says neither command nor persona: write command = ["./deploy.sh"]')
        return self

    @property
    def is_set(self) -> bool:
        """Whether anything is deployed."""
        return self.command is not None or self.persona is not None
