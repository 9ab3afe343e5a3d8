"""The question that a run ends with: found in its last message or its mail, and sent to whoever answers.

The mail is part of the append by which the run ends, and its id is derived from the run: however often that is tried
again, there is one. A run that asked by mail itself, of type `question`, is not asked for twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ...mail.errors import TeamMailError
from ...mail.kinds import MailKind
from ...mail.letter import Letter
from ...mail.log.event import Draft, Event
from ...mail.render import listed
from ...mail.text.escape import clean, line
from ...personas.roster import Roster
from ...personas.streams.question import Asked, asked_in
from ...personas.streams.transcript import Transcript
from ..context import Context
from ..settings.settings import TeamSettings
from ..state.reading import with_past
from ..state.sprints import State

QUESTION = "question"  # the type of such mail
_SUBJECT = 120  # characters
_BODY = 8_000
_MAIL = """\
{who} asks, at the end of its run {run} ({what}):

{quoted}

Answer: team-mail reply {mail}{whose} -b "…"
The answer launches {who} again.
What the run did: team trace {run}
"""


@dataclass(frozen=True)
class Question:
    """What a run asks, in one line, and the id of its mail. `draft` is that mail, None if the run sent it itself."""

    text: str
    mail: str
    draft: Draft | None = None


@dataclass(frozen=True)
class Asker:
    """A run that has ended: the `files` that it changed, and whether it `wrote` mail.

    `work` names what its question is about: of the same work, there is one question without an answer.
    """

    persona: str
    run: str
    work: tuple[str, ...]
    files: Sequence[str] = ()
    wrote: bool = False

    @property
    def what(self) -> str:
        """What it did, in words."""
        return f"it changed {listed([line(file) for file in self.files], 3)}" if self.files else "it changed nothing"


def sent_by(run: str, events: Iterable[Event]) -> Iterator[Event]:
    """Yield the mails among some events that a run has sent."""
    return (event for event in events if event.kind == MailKind.SENT and event.run == run)


def own_question(persona: str, run: str, since: Iterable[Event]) -> Question | None:
    """Return the last question that a run sent by mail and that has no answer; `since` is the log from its start."""
    asked: dict[str, Event] = {}
    for event in since:
        if event.kind != MailKind.SENT:
            continue
        if event.run == run and event.sender == persona and event.data.get("type") == QUESTION:
            asked[event.id] = event
        elif event.reply_to in asked and event.sender != persona:
            del asked[event.reply_to]
    last = next(reversed(asked.values()), None)
    return last and Question(line(last.subject or last.body)[:_SUBJECT], last.id)


def last_question(context: Context, asker: Asker, transcript: Transcript) -> Question | None:
    """Return the question that a run's last message ends with, as a mail to whoever answers; None if it asks nothing.

    The output of an agent that prints no stream of events is not read: nobody knows where its last message begins.
    """
    asked = asked_in(transcript.text) if transcript.known else None
    if asked is None or (asked.is_offer and (asker.files or asker.wrote)):
        return None
    subject, mailbox = _in_one_line(asked), context.mailbox
    quoted = "\n".join(f"| {clean(row)}".rstrip() for row in transcript.text[-_BODY:].strip().splitlines())
    whom = who_answers(asker.persona, context.settings.team, context.roster)
    if still_open := _still_open(context, asker.persona, whom, subject):
        return Question(subject, still_open)
    letter = Letter(asker.persona, [whom], subject, type=QUESTION, payload={"run": asker.run}, run=asker.run)
    letter = letter._replace(key=_key(context, asker, whom))
    body = _MAIL.format(
        who=asker.persona, run=asker.run, what=asker.what, quoted=quoted, mail=letter.key_id(asker.persona),
        whose=f" --persona {whom}" if whom == context.settings.team.human else "",  # an agent's run knows whose it is
    )  # fmt: skip
    letter = letter._replace(body=body)
    with suppress(TeamMailError):  # somebody who has left the team meanwhile
        draft = letter.draft(mailbox.directory, mailbox.blobs)
        return Question(subject, str(draft.id), draft)
    return None


def _key(context: Context, asker: Asker, whom: str) -> str:
    """Return the key of a question: that of its work, and of its run as well once that one has been answered."""
    key = f"asks {' '.join(asker.work)}"
    with suppress(TeamMailError):  # there is none yet
        asked = Letter(asker.persona, (), key=key).key_id(asker.persona)
        return f"{key} {asker.run}" if asked and context.mailbox.read(whom, asked, peek=True).answered else key
    return key


def _in_one_line(asked: Asked) -> str:
    """Return what is asked as the subject of a mail: all of it if that is short, else its question without choices."""
    whole, question = (line(" ".join(text.split())) for text in (asked.text, asked.question))
    text = whole if len(whole) <= _SUBJECT else question
    return text if len(text) <= _SUBJECT else f"{text[: _SUBJECT - 1]}\u2026"


def _still_open(context: Context, persona: str, whom: str, subject: str) -> str:
    """Return the id of the last question of a persona's runs if it is this one and has no answer, else "".

    A schedule may start it again and again before anybody has looked.
    """
    past = with_past(context.mailbox.projections, State(), [persona]).runs
    last = next((run.asked for run in reversed(past) if run.persona == persona and run.asked), "")
    with suppress(TeamMailError):  # it was asked of somebody else
        if last and (message := context.mailbox.read(whom, last, peek=True)):
            return "" if message.answered or message.subject != subject else last
    return ""


def asked_of(context: Context, persona: str) -> dict[str, Any]:
    """Return the fields of a `Job` that tell what its persona's file asks for, and who answers what the run asks."""
    known = context.roster.get(persona)  # None for one that has left
    return (known.asked if known else {}) | {"answers": who_answers(persona, context.settings.team, context.roster)}


def who_answers(persona: str, team: TeamSettings, roster: Roster) -> str:
    """Return who answers what a persona asks: the oracle of the team if there is one to be launched, else the human."""
    oracle = roster.get(team.oracle) if team.oracle else None
    return oracle.id if oracle and oracle.scheduled and oracle.id != persona else team.human
