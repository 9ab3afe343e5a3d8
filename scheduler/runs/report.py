"""What a run reports on the tree that it was given: by the file that it wrote, or by mail. See `report.given`."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from ...mail.log.event import Draft, Event, derived_id
from ...personas.agents.result import is_written, output_of
from ...personas.errors import BadOutput
from ...personas.git import Git
from ..kinds import Kind
from ..payload import text_of
from .launch import Launch

TYPES = frozenset({"review", "veto", "approve"})  # of mail that reports
_LONGEST = 16 << 10  # characters of a report; only its plain values are kept of a longer one
_WORDS = 500  # characters of a value of a longer one
_MOST = 20  # values of a longer one


def given(  # noqa: PLR0917 - what a run leaves
    git: Git, launch: Launch, base: str, sent: Iterable[Event], place: Path, secrets: Collection[str]
) -> list[Draft]:
    """Return the events of what a run reported, the last one last: first its mail, then its file.

    A file that cannot be read is a report without values. Raises GitError.
    """
    reports = [_of_mail(event) for event in sent if event.data.get("type") in TYPES]
    if is_written(place):
        reports.append(_of_file(place, secrets))
    if not reports:
        return []
    tree = git.line("rev-parse", "--verify", f"{base}^{{tree}}")
    about = {"sprint": launch.sprint, "persona": launch.persona, "commit": base, "tree": tree}
    return [
        Draft(
            Kind.REPORT_GIVEN, "scheduler", run=launch.run, data={**about, "report": _short(values)},
            id=derived_id(Kind.REPORT_GIVEN, launch.run, str(number)),
        )
        for number, values in enumerate(reports)
    ]  # fmt: skip


def _of_mail(event: Event) -> Mapping[str, Any]:
    """Return what a mail reports: its payload; its type says whether it is a veto, where that does not."""
    payload = event.data.get("payload")
    values = cast("dict[str, Any]", payload) if isinstance(payload, dict) else {}
    if event.data["type"] == "veto":
        return {"veto": True, "veto_reason": event.subject} | values
    return ({"veto": False} if event.data["type"] == "approve" else {}) | values


def _of_file(place: Path, secrets: Collection[str]) -> Mapping[str, Any]:
    try:
        value = output_of(place, b"", secrets)
    except BadOutput as error:
        return {"unreadable": str(error)[:_WORDS]}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {"score": value}


def _short(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a report as an event can hold it."""
    try:
        text = text_of(values)
    except ValueError as error:
        return {"unreadable": str(error)[:_WORDS]}
    if len(text) <= _LONGEST and "\\u0000" not in text:
        return json.loads(text)
    plain = {str(key)[:_WORDS]: value for key, value in values.items() if isinstance(value, str | int | float | bool)}
    kept = {key: value[:_WORDS].replace("\0", "") if isinstance(value, str) else value for key, value in plain.items()}
    return dict([*kept.items()][:_MOST])
