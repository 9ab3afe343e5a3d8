"""What crosses from the leader to a worker and back, as JSON: values alone, nothing that lives in a process.

An offer says what a run is for and by which rules; whoever takes it has agents, secrets and a clone of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from ...mail.log.blobs import Blobs
from ...mail.log.event import Draft
from ...personas.persona import Persona
from ...personas.running.folder import Unsent
from ...personas.spending.usage import usage_of
from ..limits.budget import NOTHING_USED
from ..runs.launch import Launch
from ..runs.run import Batch, RunResult
from ..settings.settings import Settings, SprintSettings, TeamSettings

VERSION = 1
_LONGEST = 1e9  # seconds
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class NotUnderstood(ValueError):
    """What was handed over is of another version, or no JSON of its form."""


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")
    v: int = VERSION

    def put(self, blobs: Blobs) -> str:
        """Store it, and return the name of the blob. Raises LogError, OSError."""
        return blobs.put(self.model_dump_json().encode()).sha256

    @classmethod
    def parsed(cls, data: bytes) -> Any:
        """Return what bytes say. Raises NotUnderstood."""
        try:
            document = cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors()[0]
            raise NotUnderstood(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        if document.v != VERSION:
            raise NotUnderstood(f"it is of version {document.v}, and this program reads {VERSION}: update team-mail")
        return document


class Handed(_Document):
    """A run that is offered. `mail` are the ids of the messages for its prompt, and `session` the team's session.

    `team` is the whole roster, without the prompts of the others; `reports` tells whether what the run finds is a
    report on what has landed.
    """

    launch: Launch
    batch: Batch
    mail: tuple[str, ...]
    persona: Persona | None
    team: tuple[Persona, ...]
    team_settings: TeamSettings
    sprint_settings: SprintSettings
    reports: bool = False
    session: str | None = None

    @classmethod
    def of(
        cls,
        launch: Launch,
        batch: Batch,
        *,
        mail: Sequence[str],
        team: Sequence[Persona],
        settings: Settings,
        session: str | None,
    ) -> Handed:
        """Gather what a worker needs; the launch has the timeout that counts."""
        known = [replace(persona, source=None) for persona in team]
        own = next((persona for persona in known if persona.id == launch.persona), None)
        others = tuple(replace(persona, prompt="", extra={}) for persona in known)
        reports = launch.persona in settings.reporters
        sprint = settings.sprint.model_copy(update={"foretell": "off"})
        return cls(
            launch=replace(launch, mail=()), batch=replace(batch, uses=NOTHING_USED), mail=(*mail,), persona=own,
            team=others, team_settings=settings.team, sprint_settings=sprint, reports=reports, session=session,
        )  # fmt: skip

    @property
    def roster(self) -> tuple[Persona, ...]:
        """All personas, that of the run with its prompt."""
        own = self.persona
        return tuple(own if own and persona.id == own.id else persona for persona in self.team)


class Asked(NamedTuple):
    """The question that a run ended with: in one line, the id of its mail, and that mail unless the run sent it."""

    text: str
    mail: str
    draft: Draft | None


class Returned(_Document):
    """What came of a run. `patch` and `output` name blobs, the latter "" if nothing was printed.

    `read` are the ids of the mail that it was given, `asked` is its question, `resumed` the session that it went on
    with, and `reports` are the events of what it reported. `unsent` are mails that could not be sent.
    """

    result: RunResult
    patch: str = ""
    output: str = ""
    read: tuple[str, ...] = ()
    unsent: tuple[Unsent, ...] = ()
    asked: Asked | None = None
    resumed: str = ""
    reports: tuple[Draft, ...] = ()

    @classmethod
    def of(cls, blobs: Blobs, result: RunResult, output: bytes | None, **more: Any) -> Returned:
        """Store the patch and the output, and name them. Raises LogError, OSError."""
        patch = ""
        if result.captured and result.captured.patch:
            patch = blobs.put(result.captured.patch).sha256
            result = replace(result, captured=result.captured._replace(patch=b""))
        return cls(result=result, patch=patch, output=blobs.put(output).sha256 if output is not None else "", **more)

    def whole(self, blobs: Blobs) -> RunResult:
        """Return the result with its patch, and of figures what can be one.

        Raises BlobMissing, LogError, and NotUnderstood for what no run of a worker comes to.
        """
        result, outcome = self.result, self.result.outcome
        if not 0 <= outcome.seconds < _LONGEST:
            raise NotUnderstood(f"a run of {outcome.seconds} s")
        if result.base and not _COMMIT.fullmatch(result.base):
            raise NotUnderstood("its base is no commit")
        if result.given_up and not result.lost:
            raise NotUnderstood("it says that its scheduler was stopped")
        result = replace(result, outcome=replace(outcome, usage=usage_of(outcome.usage.document())))
        if not self.patch or result.captured is None:
            return result
        return replace(result, captured=result.captured._replace(patch=blobs.read(self.patch)))
