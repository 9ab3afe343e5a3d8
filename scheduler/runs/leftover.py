"""What a run left beside its patch: its report, commits, and mail that could not be sent, with the mail about these."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ...mail.letter import Letter
from ...mail.log.event import Draft, Event, derived_id
from ...mail.render import line, listed
from ...mail.text.units import counted
from ...personas.agents.result import is_written, output_of
from ...personas.capture.capture import Captured
from ...personas.errors import BadOutput
from ...personas.git import Git
from ...personas.running.folder import Unsent
from ..kinds import Kind
from ..payload import text_of
from .launch import Launch

_SHORT = 8
TYPES = frozenset({"review", "veto", "approve"})  # of mail that reports
UNREADABLE = "unreadable"  # the key of the reason why a report cannot be read
_LONGEST = 16 << 10  # characters of a report
_WORDS = 500  # of such a reason


def about_kept(launch: Launch, captured: Captured, human: str) -> Letter:
    """Tell the human what of a run's work is not in its patch. The bundles are attached, so they are durable first."""
    names = [f"{launch.persona}-{number}.bundle" for number in range(1, len(captured.kept) + 1)]
    short = launch.run[-_SHORT:]
    body = [
        f"{launch.persona} made commits that its patch does not have (run {launch.run}).",
        "Nothing of them lands by itself; they are attached, each repository's as a git bundle:",
        "",
    ]
    for name, kept in zip(names, captured.kept, strict=True):
        where = f" of the {line(kept.where)}" if kept.where else ""
        body += [
            f"{name}: {counted(kept.commits, 'commit')}{where}",
            *(f"- {line(head)}" for head in kept.heads),
            "",
            f"    team-mail attachment N {name} -o {name}",
            f"    git fetch {name} 'refs/heads/*:refs/heads/{launch.persona}-{short}/*'",
            "",
        ]
    body += ["N is the number of this mail. Run the second command in the repository, or in the submodule, it is of."]
    if any(kept.where for kept in captured.kept):
        body += [
            "A patch that points a submodule to such a commit waits for your approval:",
            "before you approve it, fetch the commit there and publish it, or nobody else can check it out.",
        ]
    subject = f"{launch.persona}: {listed([line(head) for kept in captured.kept for head in kept.heads])} kept"
    payload = {
        "of": launch.run,
        "kept": [{"where": kept.where, "heads": [*kept.heads], "commits": kept.commits} for kept in captured.kept],
    }
    return Letter(
        "scheduler", [human], subject[:200], "\n".join(body), type="escalate", payload=payload, priority="high",
        attachments=[(name, kept.bundle) for name, kept in zip(names, captured.kept, strict=True)],
        key=f"kept {launch.run}",
    )  # fmt: skip


def about_unsent(launch: Launch, unsent: Sequence[Unsent]) -> Letter:
    """Tell a persona which of its mails were not sent, and why. Their texts are attached."""
    body = [
        f"{counted(len(unsent), 'mail')} in the outbox of your run {launch.run} could not be sent:",
        "",
        *(f"- {line(mail.name)}: {line(mail.why)}" for mail in unsent),
        "",
        "Their texts are attached. Send again what still matters.",
    ]
    return Letter(
        "scheduler", [launch.persona], f"Not sent: {listed([line(mail.name) for mail in unsent], 3)}"[:200],
        "\n".join(body), payload={"of": launch.run, "unsent": [mail.name for mail in unsent]},
        attachments=[(mail.name, mail.text) for mail in unsent if mail.text], key=f"unsent {launch.run}",
    )  # fmt: skip


def reports(  # noqa: PLR0917 - what a run leaves
    git: Git, launch: Launch, base: str, sent: Iterable[Event], place: Path, secrets: Collection[str]
) -> list[Draft]:
    """Return the events of what a run reported, the last one last: first its mail, then its file.

    A file that cannot be read is a report without values. Raises GitError.
    """
    mailed = (_of_mail(event) for event in sent if event.data.get("type") in TYPES)
    reports = [values for values in mailed if values is not None]
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


def _of_mail(event: Event) -> Mapping[str, Any] | None:
    """Return what a mail reports, None if nothing: its payload, and by its type whether it is a veto."""
    payload = event.data.get("payload")
    values = cast("dict[str, Any]", payload) if isinstance(payload, dict) else {}
    if event.data["type"] == "veto":
        return {"veto_reason": event.subject} | values | {"veto": True}
    if event.data["type"] == "approve":
        return {"veto": False} | values
    return values or None


def _of_file(place: Path, secrets: Collection[str]) -> Mapping[str, Any]:
    try:
        value = output_of(place, b"", secrets)
    except BadOutput as error:
        return {UNREADABLE: str(error)[:_WORDS]}
    if isinstance(value, int | float):
        return {"score": value}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {UNREADABLE: "it is no JSON object"}


def _short(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a report as an event can hold it."""
    try:
        text = text_of(values)
    except ValueError as error:
        return {UNREADABLE: str(error)[:_WORDS]}
    if len(text) <= _LONGEST and "\\u0000" not in text:
        return json.loads(text)
    return {UNREADABLE: f"it is no plain JSON of at most {_LONGEST:,} characters; leave the rest in files"}
