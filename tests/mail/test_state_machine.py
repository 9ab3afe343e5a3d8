"""The mailbox against its oracle: random verbs by several personas, and every answer folded again from the events."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from team_mail.mail.clock import ManualClock, rfc3339
from team_mail.mail.directory import Directory
from team_mail.mail.errors import UsageError
from team_mail.mail.letter import TYPES, Letter
from team_mail.mail.log.blobs import MemoryBlobs
from team_mail.mail.log.event import Event
from team_mail.mail.log.log import EventLog
from team_mail.mail.log.memory import MemoryLog
from team_mail.mail.mailbox import Mailbox
from team_mail.mail.message import Message
from team_mail.mail.query.memory import MemoryProjections
from team_mail.mail.query.rows import FileProjections, Projections

from ..postgres import needs_postgres
from .oracle import Oracle

TEAM = ("ana", "bo", "cy", "di")
WORDS = ("merge", "tests", "Straße", "50%", "o'clock", "ünï", "a_b", "a.b")
LABELS = ("hot", "later", "ci/red")
VERBS = ("read", "unread", "acked", "archived", "unarchived", "trashed", "restored")
FEW = 2  # machines of `make test`

personas = st.sampled_from(TEAM)
addresses = st.sampled_from((*TEAM, "you", "bo@team", "@docs", "@all", "all@team"))
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)
bodies = texts.map(lambda text: f"{text} " * 30)
labels = st.sampled_from(LABELS)


class Mails(RuleBasedStateMachine):
    """Four personas, a human and a group write, mark and leave; `kept` is long-lived, `fresh` is new each time."""

    figures: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="team-mail-test-")
        self.clock = ManualClock()
        self.log = self.make_log(Path(self.folder.name))
        self.blobs = MemoryBlobs()
        self.kept = Mailbox(self.log, self.blobs, self.projections(), clock=self.clock)
        self.enlist(frozenset(TEAM))

    def make_log(self, folder: Path) -> Any:
        return MemoryLog(clock=self.clock)

    def projections(self) -> Projections:
        return MemoryProjections(self.log)

    def enlist(self, roster: frozenset[str]) -> None:
        self.kept.directory = Directory(roster, {"docs": ("bo", "cy")})

    def teardown(self) -> None:
        with self.folder:  # whatever comes of it
            for persona in TEAM:
                wanted = self.fold().inbox(persona, state="all")
                assert [seen(message) for message in self.kept.inbox(persona, state="all")] == wanted
            self.figures["runs"] += 1
            self.figures["events"] += self.fold().events[-1].seq

    @property
    def fresh(self) -> Mailbox:
        return Mailbox(self.log, self.blobs, self.projections(), self.kept.directory, self.clock)

    def fold(self, until: int | None = None, until_ts: str | None = None) -> Oracle:
        return Oracle(self.log.read(), until, until_ts)

    def pick(self, number: int) -> Event:
        messages = self.fold().messages
        return messages[-1 - number % len(messages)]

    # -- verbs

    @initialize(mails=st.lists(st.tuples(personas, st.sampled_from((*TEAM, "@all")), texts), min_size=4, max_size=8))
    def begin(self, mails: list[tuple[str, str, str]]) -> None:
        for sender, to, subject in mails:
            self.kept.send(Letter(sender, [to], subject))

    @rule(
        sender=personas,
        to=st.lists(addresses, min_size=1, max_size=3),
        cc=st.lists(addresses, max_size=2),
        subject=texts,
        body=bodies,
        type=st.sampled_from(TYPES),
        priority=st.sampled_from(("normal", "urgent", "critical")),
        due=st.sampled_from((None, "+1h", "+2d")),
        key=st.sampled_from((None, None, "k1", "k2")),
    )
    def send(self, sender: str, to: list[str], cc: list[str], due: str | None, key: str | None, **fields: str) -> None:
        letter = Letter(sender, to, cc=cc, due=due, key=key, **fields)
        before = self.fold()
        try:
            event = self.kept.send(letter)
        except UsageError:
            assert self.mails() == [event for event in before.events if event.kind.startswith("mail.")]
            return
        assert self.kept.send(letter).seq == event.seq if key else True
        assert len(self.fold().messages) - len(before.messages) == (event not in before.messages)

    def mails(self) -> list[Event]:
        """All but what the log says of itself: it may seal a file although a letter turns out to be refused."""
        return [event for event in self.fold().events if event.kind.startswith("mail.")]

    @rule(persona=personas, number=st.integers(0, 30), everybody=st.booleans(), body=bodies, also=st.none() | addresses)
    def reply(self, persona: str, number: int, everybody: bool, body: str, also: str | None) -> None:
        original, roster = self.pick(number), self.kept.directory
        letter = Letter(persona, [also] if also else [], body=body)
        try:
            event = self.kept.reply(letter, str(original.seq), everybody=everybody)
        except UsageError:
            gone = persona not in roster.names
            assert gone or also is not None, "only an address of the letter's own can be wrong"
            return
        assert event.thread == original.thread
        assert event.reply_to == original.id
        wanted = {original.sender, *(original.recipients if everybody else ())} - {persona}
        assert wanted <= set(event.recipients)
        assert set(event.recipients) <= wanted | roster.names
        after = self.fold()
        assert persona not in original.recipients or after.flags[persona, original.id]["read"]
        assert all(after.reached(n, event) == "bounced" for n in event.recipients if n not in roster.names)

    @rule(persona=personas, verb=st.sampled_from(VERBS), numbers=st.lists(st.integers(0, 30), min_size=1, max_size=3))
    def mark(self, persona: str, verb: str, numbers: list[int]) -> None:
        chosen = [self.pick(number) for number in numbers]
        before = self.fold().events
        if all(persona in message.recipients for message in chosen):
            marked = self.kept.mark(persona, verb, [message.id for message in chosen])
            oracle = self.fold()
            assert [seen(message) for message in marked] == [oracle.seen(persona, message) for message in chosen]
            self.kept.mark(persona, verb, [str(message.seq) for message in chosen])
            assert self.fold().events == oracle.events, "what is already so is not written again"
        else:
            with pytest.raises(UsageError, match="is not"):
                self.kept.mark(persona, verb, [message.id for message in chosen])
            assert self.fold().events == before, "none is marked if one may not be"

    @rule(persona=personas, number=st.integers(0, 30), peek=st.booleans())
    def read(self, persona: str, number: int, peek: bool) -> None:
        original, before = self.pick(number), self.fold().events
        message = self.kept.read(persona, str(original.seq), peek=peek)
        oracle = self.fold()
        assert message.body == original.body
        assert seen(message) == oracle.seen(persona, original)
        assert not peek or oracle.events == before

    @rule(persona=personas, number=st.integers(0, 30), label=labels, remove=st.booleans())
    def tag(self, persona: str, number: int, label: str, remove: bool) -> None:
        original = self.pick(number)
        if persona not in original.recipients:
            with pytest.raises(UsageError, match="is not"):
                self.kept.tag(persona, str(original.seq), label, remove=remove)
            return
        message = self.kept.tag(persona, str(original.seq), label, remove=remove)
        assert seen(message) == self.fold().seen(persona, original)

    @rule(persona=personas, stays=st.booleans())
    def leave_or_join(self, persona: str, stays: bool) -> None:
        roster = self.kept.directory.personas or frozenset()
        self.enlist(roster | {persona} if stays else roster - {persona} or roster)

    @rule()
    def bounce(self) -> None:
        owed = self.fold().unreachable(self.kept.directory.names)
        back = self.kept.bounce()
        assert sorted((event.ref or "", event.data["recipient"]) for event in back) == owed
        assert self.kept.bounce() == []
        bounces = [message for message in self.fold().messages if "of" in message.data]
        assert len({(message.data["of"], message.data["recipient"]) for message in bounces}) == len(bounces)

    @rule(hours=st.integers(-3, 30))
    def time_goes_or_jumps_back(self, hours: int) -> None:
        self.clock.sleep(hours * 3600)

    # -- questions

    @rule(
        persona=personas,
        unread=st.booleans(),
        state=st.sampled_from(("inbox", "archived", "trashed", "all")),
        tag=st.none() | labels,
        type=st.none() | st.sampled_from((*TYPES[:4], "bounce")),
        sender=st.none() | personas | st.just("postmaster"),
        back=st.none() | st.integers(0, 40),
        by_time=st.booleans(),
    )
    def inbox_is_as_the_events_say(self, persona: str, back: int | None, by_time: bool, **filters: Any) -> None:
        events = self.fold().events
        then = None if back is None else events[-1 - back % len(events)]
        if then is None:
            oracle, as_of = self.fold(), {}
        elif by_time:
            oracle, as_of = self.fold(until_ts=then.ts), {"as_of": then.ts}
        else:
            oracle, as_of = self.fold(until=then.seq), {"as_of_seq": then.seq}
        wanted = oracle.inbox(persona, **filters)
        assert [seen(message) for message in self.kept.inbox(persona, **filters, **as_of)] == wanted
        assert [seen(message) for message in self.fresh.inbox(persona, **filters, **as_of)] == wanted
        assert [seen(message) for message in self.kept.inbox(persona, **filters, **as_of, limit=2)] == wanted[:2]

    @rule(number=st.integers(0, 30), query=texts, persona=st.none() | personas)
    def thread_and_search_are_as_the_events_say(self, number: int, query: str, persona: str | None) -> None:
        oracle, message = self.fold(), self.pick(number)
        words = [word for word in query.replace("%", " ").replace("'", " ").replace(".", " ").split() if word]
        for mailbox in (self.kept, self.fresh):
            messages = mailbox.thread(str(message.seq), persona)
            assert [reply.seq for reply in messages] == oracle.thread(message)
            hits = mailbox.search(query, persona=persona, limit=1000)
            assert {hit.seq for hit in hits} == oracle.hits(words, persona)

    @rule(persona=personas)
    def everything_is_as_the_events_say(self, persona: str) -> None:
        oracle, now = self.fold(), rfc3339(self.clock.now())
        for mailbox in (self.kept, self.fresh):
            for state in ("inbox", "archived", "trashed"):
                messages = mailbox.inbox(persona, state=state)
                assert [seen(message) for message in messages] == oracle.inbox(persona, state=state)
            receipts = mailbox.sent(persona)
            assert [(receipt.message.seq, receipt.states) for receipt in receipts] == oracle.sent(persona)
            assert mailbox.tags(persona) == oracle.tags(persona)
            assert mailbox.counts() == oracle.counts()
            assert [(row["seq"], row["persona"]) for row in mailbox.overdue()] == oracle.overdue(now)
            assert mailbox.people() == oracle.people()
            assert {row["kind"]: row["events"] for row in mailbox.stats()} == oracle.stats()


class MailsOfManySegments(Mails):
    """The same over files that rotate every few events, so that slices are extended across rotations."""

    figures: ClassVar[Counter[str]] = Counter()

    def make_log(self, folder: Path) -> EventLog:
        return EventLog(folder / "mail", clock=self.clock, segment_bytes=4096)

    def projections(self) -> Projections:
        return FileProjections(self.log)

    def teardown(self) -> None:
        self.figures["segments"] += len(list(self.log.segments))
        super().teardown()


class MailsOnServer(MailsOfManySegments):
    """The same on a server, whose log is copied bit by bit: `server` makes a schema for each machine."""

    figures: ClassVar[Counter[str]] = Counter()
    server: ClassVar[Callable[[], Any]]

    def make_log(self, folder: Path) -> EventLog:
        from team_mail.mail.remote.postgres import PostgresLog

        server = type(self).server()
        server.set_value("segment_bytes", "4096")
        return PostgresLog(folder / "mail", server, clock=self.clock)


def seen(message: Message) -> tuple[Any, ...]:
    flags = (message.read, message.acked, message.archived, message.trashed, message.answered)
    return (message.seq, message.subject, *flags, message.tags)


def plan(runs: int) -> settings:
    """A failure that a few runs meet is told as it was found, at once; the storm shrinks it, for minutes."""
    health = [HealthCheck.too_slow, HealthCheck.data_too_large]
    phases = [phase for phase in Phase if runs > FEW or phase not in {Phase.shrink, Phase.explain}]
    return settings(
        max_examples=runs, stateful_step_count=60, deadline=None, suppress_health_check=health, phases=phases
    )


@pytest.fixture(autouse=True)
def figures() -> Iterator[None]:
    yield
    for machine in (Mails, MailsOfManySegments, MailsOnServer):
        if machine.figures:
            print(f"{machine.__name__}: " + ", ".join(f"{count} {what}" for what, count in machine.figures.items()))
            machine.figures.clear()


@pytest.mark.parametrize("runs", [FEW, pytest.param(100, marks=pytest.mark.storm)])
def test_projections_in_memory_equal_a_naive_fold_of_the_events(runs):
    """This holds for any sequence of verbs, in a long-lived mailbox and in a new one."""
    run_state_machine_as_test(Mails, settings=plan(runs))


@pytest.mark.parametrize("runs", [FEW, pytest.param(100, marks=pytest.mark.storm)])
def test_projections_of_rotating_files_equal_a_naive_fold_of_the_events(runs):
    """Segments, their Parquet copies and slices extended across them change no row."""
    run_state_machine_as_test(MailsOfManySegments, settings=plan(runs))


@needs_postgres
@pytest.mark.parametrize("runs", [FEW, pytest.param(100, marks=pytest.mark.storm)])
def test_projections_of_a_log_on_a_server_equal_a_naive_fold_of_the_events(runs, schemas):
    """Its copy is brought up to date before each question."""
    MailsOnServer.server = staticmethod(schemas)
    run_state_machine_as_test(MailsOnServer, settings=plan(runs))
