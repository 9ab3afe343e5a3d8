"""A run that a session of Jules plays: the program that an agent of kind `jules` starts, below a keeper as any other.

It creates the session, or goes on with the one that an earlier run of the same work left, passes on what Jules asks and
what is answered, and at the end makes Jules's change in the workspace. What it prints and how it exits is judged as of
every agent.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from ...mail.clock import Clock, SystemClock, rfc3339
from ...mail.errors import TeamMailError
from ..errors import ServiceError
from ..running.folder import RunFolder
from ..running.process import read_report
from ..streams.printer import Printer
from .changes import ChangeRefused, Clone, Start, address_of
from .client import NOT_FOUND, JulesClient
from .letters import Letters, Reply, given_mail
from .orders import AUTO_CREATE_PR, BROKEN, CHANGED, HUMAN, RESULT, UNCHANGED, UNTAKEN, VARIABLE, Orders
from .record import SENDING, SENT, Record, Records, work_of
from .session import (
    COMPLETED,
    FAILED,
    PLAN,
    QUESTION,
    WAITING,
    Activity,
    Session,
    last_change,
    read_activity,
    read_session,
)
from .stream import print_activity

TRIES = 12  # of a request: about four minutes, as a run is long
_SAID = {"agentMessaged", "userMessaged", "planApproved"}  # kinds of activity
_LISTED = 300  # sessions among which one is looked for whose create was not answered
_TITLE = 60
_PREAMBLE = """\
What follows was written for a teammate who works in a folder beside the program `team-mail`. You work in a clone of
your own, so read it with these changes, which come first:

- `team-mail` and the folder `.team` are not there. Whatever you would mail or ask, say as a message: `{whom}` gets it
  as mail, and the answer comes to you here.
- {files}
- End with your change in place. Do not push it, and do not commit it to another branch.

"""
_BEHIND = """\
Your files are those of the branch `{branch}` as it was pushed. What is said to have landed since, or to be merged
  into your files already, is not there: make your change so that it fits what the text shows."""
_THERE = "Your files are those that the text speaks of, and what it says is merged into them is."


@dataclass(frozen=True)
class Place:
    """Where a run is: whose it is, its work and a name of that for people, its id, its workspace, the team's folder.

    Runs of the same work go on with the same session: those of a task, and those of a persona in sprints.
    """

    persona: str
    work: str
    about: str
    run: str
    workspace: Path
    home: Path


def goes_on(record: Record, session: Session, age: float, patience: float, *, reported: bool) -> bool:
    """Tell whether a run goes on with the session of an earlier run of the same work, instead of a new one.

    It does not if that run took what the session came to and ended by itself (`reported`), if the session failed, or if
    it has been at work for longer than `patience`, in seconds, without waiting for a person.
    """
    if (record.over and reported) or session.state == FAILED:
        return False
    return session.state == COMPLETED or session.state in WAITING or age <= patience


@dataclass
class Player:
    """Plays one run."""

    client: JulesClient
    orders: Orders
    place: Place
    prompt: str
    secrets: tuple[str, ...] = ()
    printer: Printer = field(default_factory=Printer)
    clock: Clock = field(default_factory=SystemClock)

    def __post_init__(self) -> None:
        self.records = Records(self.place.home)

    def play(self) -> int:
        """Play the run; return the exit code."""
        try:
            record = self._found() or self._created()
            return _Following(self, record).follow()
        except TeamMailError as error:
            self.printer.end(str(error), failed=True)
            return 1

    # -- the session

    def _found(self) -> Record | None:
        """Return the record of the session to go on with, if there is one."""
        record = self.records.read(self.place.persona, self.place.work)
        if record is None:
            return None
        if not record.session:
            raw = self._listed(record.mark)
            if raw is None:
                return None
            record = self._answered(record, raw)
        try:
            session = read_session(self.client.get_session(record.session))
        except ServiceError as error:
            if error.status != NOT_FOUND:
                raise
            return None  # somebody deleted it
        reported = record.run != self.place.run and has_ended(self.place.home / "runs" / record.run)
        age = record.age(self.clock.now())
        if not goes_on(record, session, age, self.orders.patience, reported=reported):
            self.printer.stand(f"{session.shown}; it is over for this work, or was given up")
            return None
        return self.records.write(replace(record, run=self.place.run, over=False))

    def _created(self) -> Record:
        """Create a session. Its mark is on record before Jules is asked, and its id before anything else is done."""
        before = self.records.read(self.place.persona, self.place.work)
        earlier = (*before.earlier, before.session) if before and before.session else ()
        mark = f"team-mail {os.urandom(6).hex()}"
        title = f"{self.place.persona}: {self.place.about}"[:_TITLE] + f" [{mark}]"
        heard = dict.fromkeys(given_mail(self.place.workspace), SENT)  # it stands in the prompt
        now = rfc3339(self.clock.now())
        record = self.records.write(
            Record(self.place.persona, self.place.work, self.place.run, mark, title, now, heard=heard, earlier=earlier)
        )
        orders, branch = self.orders, self.orders.branch
        if before and before.start:
            self.clone.withdraw(before.start[0])
        if orders.push:
            branch = f"team-mail/{self.place.persona}-{mark.split()[1]}"
            record = self.records.write(replace(record, start=Start(branch)))  # so that it is deleted, come what may
            record = self.records.write(replace(record, start=self.clone.push(branch)))
        context = {"source": orders.source, "githubRepoContext": {"startingBranch": branch}}
        with self.records.place(orders.creates, self.clock):
            raw = self.client.create_session(
                self._whole_prompt, title, context, orders.plan == HUMAN,
                AUTO_CREATE_PR if orders.pull_request else None, done=lambda: self._listed(mark),
            )  # fmt: skip
            return self._answered(record, raw)

    @property
    def clone(self) -> Clone:
        """The workspace, and the repository that Jules works on."""
        return Clone(self.place.workspace, address_of(self.orders.remote, self.place.home))

    @property
    def _whole_prompt(self) -> str:
        files = _THERE if self.orders.push else _BEHIND.format(branch=self.orders.branch)
        return _PREAMBLE.format(whom=self.orders.asks or self.orders.whom, files=files) + self.prompt

    def _answered(self, record: Record, raw: Mapping[str, Any]) -> Record:
        session = read_session(raw)
        return self.records.write(replace(record, session=session.id, url=session.url))

    def _listed(self, mark: str) -> dict[str, Any] | None:
        """Return the session whose title has a mark, if Jules has it."""
        sessions = self.client.list_sessions(most=_LISTED)
        return next((raw for raw in sessions if f"[{mark}]" in str(raw.get("title"))), None)


class _Following:
    """One session, followed to its end."""

    def __init__(self, player: Player, record: Record) -> None:
        place, orders = player.place, player.orders
        self._player, self._record, self._client = player, record, player.client
        self._printer, self._orders = player.printer, orders
        self._letters = Letters(
            place.workspace, place.persona, orders.whom, record.session, record.url, player.secrets, orders.asks
        )  # fmt: skip
        self._seen: dict[str, Activity] = {}
        self._said: list[Activity] = []  # what Jules said last, of which the next look tells whether it asks

    def follow(self) -> int:
        """Follow the session; return the exit code of the run."""
        self._printer.begin(self._record.session)
        while True:
            session = read_session(self._client.get_session(self._record.session))
            news = self._news()
            self._printer.stand(session.shown)
            self._pass_on(session, news)
            if session.is_over:
                return self._concluded(session)
            self._hear(session)
            self._player.clock.sleep(self._orders.every)

    def _news(self) -> list[Activity]:
        """Print the activities that are new, and return them."""
        activities = map(read_activity, self._client.activities(self._record.session))
        news = [each for each in activities if each.id not in self._seen]
        for activity in news:
            self._seen[activity.id] = activity
            print_activity(activity, self._printer)
        return news

    def _pass_on(self, session: Session, news: list[Activity]) -> None:
        """Pass on what Jules asks and says; approve its plan if nobody is to be asked."""
        before, self._said = self._said, [each for each in news if each.kind == "agentMessaged" and each.text]
        last = self._unanswered() if session.state == QUESTION else []
        for activity in (*before, *self._said):
            if activity in last or activity.id in self._record.questions:
                self._ask(activity.id, activity.text)
            elif activity in before:
                self._letters.tell(activity.id, activity.text)
        if session.state == QUESTION and not last:
            said = [each.id for each in self._seen.values() if each.kind in _SAID]
            self._ask(f"feedback after {said[-1] if said else 'the start'}", "")
        if session.state == PLAN and self._orders.plan != HUMAN:
            self._client.approve_plan(session.id, done=self._approved)
        elif session.state == PLAN:
            plans = [each for each in self._seen.values() if each.kind == "planGenerated"]
            self._letters.show_plan(plans[-1].id if plans else "plan", plans[-1].text if plans else "")

    def _unanswered(self) -> list[Activity]:
        """Return what Jules has said since somebody last said something to it."""
        later = takewhile(lambda each: each.kind != "userMessaged", reversed(self._seen.values()))
        return [each for each in later if each.kind == "agentMessaged" and each.text]

    def _ask(self, activity: str, text: str) -> None:
        """Ask a question; it is on record, so that a run that goes on asks by the same mail, and hears its answer."""
        self._letters.ask(activity, text)
        if activity not in self._record.questions:
            questions = (*self._record.questions, activity)
            self._record = self._player.records.write(replace(self._record, questions=questions))

    def _approved(self) -> dict[str, Any] | None:
        raw = self._client.get_session(self._record.session)
        return None if read_session(raw).state == PLAN else raw

    def _hear(self, session: Session) -> None:
        """Send to Jules the mail that it has not heard; what was sent when a run was cut off is not sent again."""
        for reply in self._letters.replies(self._record.heard):
            number = str(reply.seq)
            how_far = self._record.heard.get(number)
            if how_far is None or (how_far == SENDING and not self._has_heard(reply.body)):
                self._record = self._player.records.hear(self._record, number, SENDING)
                self._say(session, reply)
            self._record = self._player.records.hear(self._record, number, SENT)
            self._letters.mark_read(reply)

    def _say(self, session: Session, reply: Reply) -> None:
        if session.state == PLAN and reply.approves and reply.sender == self._orders.whom:
            self._client.approve_plan(session.id, done=self._approved)
        else:
            self._client.send_message(session.id, reply.body, done=lambda: self._heard(reply.body))

    def _has_heard(self, text: str) -> bool:
        activities = map(read_activity, self._client.activities(self._record.session))
        wanted = read_activity({"userMessaged": {"userMessage": text}}).text
        return any(each.kind == "userMessaged" and each.text == wanted for each in activities)

    def _heard(self, text: str) -> dict[str, Any] | None:
        return {} if self._has_heard(text) else None

    def _concluded(self, session: Session) -> int:
        """Make the change of a session that is over, and say what it came to."""
        if session.state != COMPLETED:
            reasons = [each.text for each in self._seen.values() if each.kind == "sessionFailed" and each.text]
            return self._ended(session, f"Jules failed: {reasons[-1] if reasons else 'it gave no reason'}", failed=True)
        clone, base = self._player.clone, ""
        start = Start(*self._record.start) if self._record.start else None
        change = last_change(session, self._seen.values())
        try:
            if change:
                base = clone.take(change, start)
            elif session.pull_request:
                base = clone.take_pull_request(session.pull_request)
        except ChangeRefused as refused:
            over = not refused.for_now
            return self._ended(session, f"{refused}; {session.shown}", failed=True, outcome=UNTAKEN, over=over)
        outcome = CHANGED if base else UNCHANGED
        words = [each.text for each in self._seen.values() if each.kind == "agentMessaged" and each.text]
        told = words[-1:] or [change.message if change and change.message else ""]
        text = "" if base else "Jules completed the session without a change set."
        return self._ended(session, "\n\n".join(filter(None, [text, *told])) or "Jules completed the session.",
                           outcome=outcome, base=base)  # fmt: skip

    def _ended(
        self,
        session: Session,
        text: str,
        *,
        failed: bool = False,
        outcome: str = BROKEN,
        base: str = "",
        over: bool = True,
    ) -> int:
        """Say what the session came to, and that it is over for this work, unless its change is still to be taken."""
        self._told(session, outcome, base)
        self._player.records.write(replace(self._record, over=over))
        if over and self._record.start and (why := self._player.clone.withdraw(self._record.start[0])):
            self._printer.stand(why)
        self._printer.end(text, failed=failed)
        return int(failed)

    def _told(self, session: Session, outcome: str, base: str) -> None:
        result = {"session": session.id, "url": session.url, "state": session.state, "outcome": outcome, "base": base}
        RunFolder(self._player.place.workspace).write("", RESULT, json.dumps(result).encode())


def has_ended(folder: Path) -> bool:
    """Tell whether a run ended by itself, by its keeper's report in its folder, or so long ago that that is removed."""
    if not folder.exists():
        return True
    report = read_report(folder)
    return report is not None and report.get("reason") in {"ended", "finished"}


def place_of(environ: Mapping[str, str], sprint: str) -> Place:
    """Return the place of this run by its environment and the number of its sprint."""
    task, dispatch = environ.get("TEAM_TASK"), environ.get("TEAM_DISPATCH", "")
    about = f"task {task}" if task else f"sprint {sprint}"
    work, run, home = work_of(task, dispatch), environ["TEAM_RUN"], Path(environ["TEAM_HOME"])
    return Place(environ["TEAM_PERSONA"], work, about, run, Path.cwd(), home)


def _read_words(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Play a run by a session of Jules.")
    parser.add_argument("--orders", required=True, help="the settings, as JSON")
    parser.add_argument("--sprint", default="0")
    parser.add_argument("--timeout", type=float, default=0.0, help="of this run, in seconds")
    parser.add_argument("--answers", default="", help="who answers what the run asks")
    parser.add_argument("prompt", type=Path)
    return parser.parse_args(words)


def main() -> int:
    """Play the run that the command line and the environment describe; return its exit code."""
    given, printer = _read_words(sys.argv[1:]), Printer()
    orders, key = Orders(**json.loads(given.orders)), os.environ.pop(VARIABLE, "")  # git, which it starts, needs none
    patience = max(orders.patience, given.timeout)  # of a persona, which may have longer
    orders = replace(orders, patience=patience, asks=orders.asks or given.answers)
    try:
        client = JulesClient(key, url=orders.url, tries=TRIES)
        prompt = given.prompt.read_text(errors="replace")
    except (TeamMailError, OSError) as error:
        printer.end(str(error), failed=True)
        return 1
    return Player(client, orders, place_of(os.environ, given.sprint), prompt, (key,), printer).play()


if __name__ == "__main__":
    sys.exit(main())
