"""What needs the human: a pure function of one event, and the dispatches that nobody leads any more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, cast

from ...mail.directory import PROGRAMS
from ...mail.kinds import MailKind
from ...mail.log.event import Event
from ...mail.text.escape import line
from ..kinds import DeployOutcome, Kind, is_writer

_LONGEST = 200  # characters of a title
_URGENT = frozenset({"high", "urgent"})
_BY_HAND = "scheduler approve"  # in the reason of a deployment that waits for a person


class Need(NamedTuple):
    """One thing that needs the human, in one line. `about` ends the key of a mail that says the same."""

    title: str
    about: str = ""
    urgent: bool = False


def need_of(event: Event, human: str) -> Need | None:
    """Return what an event asks of the human, None if nothing.

    That is mail to the human, a held patch, a persona that was set aside, rounds that are paused, a deployment that
    failed or waits, and a gate that is red before anything was changed.
    """
    if event.kind == MailKind.SENT:
        return _mail(event, human)
    find = _NEEDS.get(event.kind)
    if find is None or not is_writer(event.kind, event.sender, event.run):
        return None
    need = find(event)
    return need and need._replace(title=short(need.title))


def short(text: str) -> str:
    """Return text as one line of at most 200 characters, without anything that could control a terminal."""
    text = line(text.strip())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def distinct(needs: Iterable[tuple[Event, Need]]) -> list[Need]:
    """Leave out the mails of programs that say what another need is about."""
    pairs = [*needs]
    matters = tuple({need.about for _, need in pairs if need.about})
    return [need for event, need in pairs if not (_is_by_program(event) and _key(event).endswith(matters))]


def abandoned(leaders: Mapping[str, Event], is_alive: Callable[[Mapping[str, Any]], bool]) -> list[Event]:
    """Return the starts of the dispatches whose process is gone; `leaders` are those that have no end."""
    return [event for event in leaders.values() if not is_alive(_table(event.data.get("supervisor")))]


def about_dispatch(event: Event) -> Need:
    """Return what the last start of a dispatch that nobody leads any more asks of the human."""
    name = str(event.data.get("dispatch", ""))
    return Need(short(f"dispatch {name[-8:]} was cut off: team dispatch --resume {name} goes on with it"))


def _mail(event: Event, human: str) -> Need | None:
    if human not in event.recipients or event.sender == human:
        return None
    words = event.subject or event.body.strip().partition("\n")[0] or "a message"
    return Need(short(f"{event.sender}: {words}"), urgent=event.priority in _URGENT)


def _held(event: Event) -> Need:
    run = event.ref or ""
    title = f"{_text(event, 'persona')}'s patch waits for your approval: scheduler approve {run[:8]}"
    return Need(title, f"question {run}")


def _set_aside(event: Event) -> Need:
    persona = _text(event, "persona")
    return Need(f"{persona} was set aside: {_text(event, 'why')}", f"aside {_text(event, 'sprint')} {persona}")


def _paused(event: Event) -> Need:
    return Need(f"rounds are paused: {_text(event, 'why')}", f"rounds paused {_text(event, 'sprint')}", urgent=True)


def _deployed(event: Event) -> Need | None:
    why, outcome = _text(event, "why"), event.data.get("outcome")
    commit = _text(event, "commit")
    if outcome == DeployOutcome.FAILED:
        about = f"deploy failed {_text(event, 'sprint')} {commit} {_text(event, 'attempt')}"
        return Need(f"the deployment of {commit[:12]} failed: {why}", about, urgent=True)
    if outcome == DeployOutcome.SKIPPED_POLICY and _BY_HAND in why:
        return Need(f"the deployment of {commit[:12]} waits for you: {why}")
    return None


def _judged(event: Event) -> Need | None:
    if event.data.get("on_base") is not True or event.data.get("passed") is not False:
        return None
    title = f"gate {_text(event, 'gate')} fails without any change, so it judges nothing"
    return Need(title, f"red {_text(event, 'mark')} {_text(event, 'tree')}", urgent=True)


_NEEDS: dict[str, Callable[[Event], Need | None]] = {
    Kind.PATCH_HELD: _held,
    Kind.PERSONA_SKIPPED: _set_aside,
    Kind.ROUND_PAUSED: _paused,
    Kind.DEPLOY_FINISHED: _deployed,
    Kind.GATE_JUDGED: _judged,
}


def _is_by_program(event: Event) -> bool:
    return event.kind == MailKind.SENT and event.sender in PROGRAMS


def _text(event: Event, name: str) -> str:
    value = event.data.get(name)
    return "" if value is None else str(value)


def _key(event: Event) -> str:
    return _text(event, "key")


def _table(value: object) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
