"""All asks of a console: those under way, and those on record, which are made anew from the log when need be.

An ask belongs to whoever started it: nobody else sees it.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from ....mail.errors import TeamMailError
from ....mail.log.event import Draft, derived_id, new_id
from ....mail.process import checked_session
from ....personas.bundled import with_bundled
from ....scheduler.context import Context
from ....scheduler.errors import NoSuchRun, NotReady
from ....scheduler.kinds import Kind, TaskStatus
from ....scheduler.state.dispatches import DispatchState, read_dispatch, read_last, read_unfinished, session_of
from ....scheduler.tasks.task import DispatchConfig, Task
from ... import api
from ...dispatcher import ParallelDispatcher
from .ask import Ask, Closing, Part
from .carrying import GRACE, Carrier
from .following import Follower
from .hub import Hub
from .record import cause_of, is_elsewhere, owner_of, rebuilt, recorded
from .slots import Slots
from .turns import Turns
from .wanted import Wanted, checked

_MOST_KEPT = 100  # asks in memory that are over
_MOST_LISTED = 50
_LATER = 0.5  # seconds after which left asks are looked for: loading the database would delay the first answer
_BEGINS, _LOOK = 5.0, 0.01  # seconds that a run may take to begin that one wants to stop, and between two looks

Dispatching = Callable[[DispatchConfig], ParallelDispatcher]


@dataclass(frozen=True)
class AskRequest:
    """An ask: who is asked what, by whom, in which session.

    A `detached` one goes on when nobody watches. Of several with one `key` of an owner, only the first is carried out.
    """

    wanted: tuple[Wanted, ...]
    owner: str
    session: str | None = None
    detached: bool = True
    key: str | None = None
    timeout: float | None = None

    def digest(self) -> str:
        """Return a digest of what is asked, by which the same request is known again."""
        return hashlib.sha256(repr(self).encode(errors="replace")).hexdigest()[:32]


@dataclass
class Asks:
    """The asks of one console. Threads share it; `close` ends all that does not go on without this process.

    `context` opens the team, `dispatching` makes the dispatcher of an ask, `most` is how many runs go on at once.
    """

    context: Callable[[], Context]
    most: int = 16
    grace: float = GRACE
    dispatching: Dispatching | None = None
    hub: Hub = field(default_factory=Hub)
    turns: Turns = field(default_factory=Turns)
    _carriers: OrderedDict[str, Carrier] = field(default_factory=OrderedDict[str, Carrier])
    _turn: threading.RLock = field(default_factory=threading.RLock)
    _closed: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._slots = Slots(self.most)

    @property
    def is_closing(self) -> bool:
        """Whether it has been closed."""
        return self._closed.is_set()

    def start(self, request: AskRequest) -> Ask:
        """Start an ask; return it once it is on record.

        Raises InvalidTasks, NotReady, NoSuchSession, LogError; NotReady also for the key of another ask.
        """
        id = derived_id("ask", request.owner, request.key) if request.key else new_id()  # noqa: A001
        with self._turn:
            if request.key and (known := self._known(id, request.owner)):
                if known.asked and known.asked != request.digest():
                    raise NotReady(f"the key {request.key!r} belongs to another ask; choose a new one")
                return known
            carrier, tasks = self._prepared(id, request)
            self._carriers[id] = carrier
        try:
            carrier.start(tasks)
        except BaseException:
            with self._turn:
                del self._carriers[id]
            carrier.ask.close()
            raise
        if not request.detached and not carrier.ask.viewers:
            carrier.ask.left_at = time.monotonic()  # whoever asked may never come for the stream
        self._forget()
        return carrier.ask

    def get(self, id: str, owner: str) -> Ask:
        """Return an ask. Raises NoSuchRun, also for one of somebody else."""
        with self._turn:
            if ask := self._known(id, owner):
                return ask
        raise NoSuchRun(f"no ask {id!r}")

    def listed(self, owner: str) -> list[dict[str, object]]:
        """Return the last asks, the newest first, as JSON objects."""
        context = self.context()
        states = {state.id: state for state in read_last(context.mailbox.projections, _MOST_LISTED)}
        rows: dict[str, dict[str, object]] = {}
        for id, state in reversed(states.items()):  # noqa: A001
            recorded_ask, carrier = recorded(context, state), self._carriers.get(id)
            if recorded_ask and _may_see(owner, owner_of(state), is_old=carrier is None or _is_old(carrier.ask)):
                rows[id] = recorded_ask
        with self._turn:
            for id, carrier in self._carriers.items():  # noqa: A001
                if id in rows and not carrier.ask.is_elsewhere:
                    rows[id] = {**rows[id], **carrier.ask.document()}
        return [*rows.values()]

    def stop(self, id: str, owner: str, sender: str) -> Ask:
        """End all runs of an ask, and start no more; of one that another process carries out, by the log.

        Raises NoSuchRun.
        """
        ask = self.get(id, owner)
        if ask.is_elsewhere:
            self.context().append([Draft(Kind.DISPATCH_STOPPED, sender, data={"dispatch": id})])
        else:
            self._carriers[id].end()
        return ask

    def stop_task(self, id: str, task: str, owner: str, sender: str) -> Ask:
        """End the run of one task, whoever carries it out, or cancel it before it starts. Raises what `stop` does."""
        ask = self.get(id, owner)
        part, until = _part(ask, task), time.monotonic() + _BEGINS
        if ask.is_elsewhere and part.waits:
            _here(ask)  # only a run can be ended from here
        if part.status or (not ask.is_elsewhere and self._carriers[id].cancel(part.task)):
            if part.status and part.status != TaskStatus.CANCELLED:
                raise NoSuchRun(f"{part.name} does not run")
            return ask
        while not (part.run or part.status) and time.monotonic() < until:  # its start is just being put on record
            time.sleep(_LOOK)
        api.control.stop(self.context(), part.run or part.name, sender)
        return ask

    def retry(self, id: str, owner: str) -> Ask:
        """Go on with what did not succeed. Raises NoSuchRun, NotReady if it still runs or all of it succeeded."""
        with self._turn:
            ask, carrier = self.get(id, owner), self._carriers[id]
            until = time.monotonic() + _BEGINS
            while not (ask.is_settled or carrier.is_running or ask.is_elsewhere) and time.monotonic() < until:
                time.sleep(_LOOK)  # it was just made anew from the log
            if not ask.is_settled or (ask.is_broken and carrier.is_running):
                raise NotReady("the ask still runs; stop it first")
            carrier.join()  # it is about to end
            if not any(part.error for part in ask.parts):
                raise NotReady("all of the ask succeeded; there is nothing to try again")
        carrier.resume()
        return ask

    def resume_left(self) -> list[str]:
        """Go on with the detached asks that an earlier console left, and return their ids.

        How the runs of others ended that were cut off, because that console was killed, is put on record.
        """
        context, ids = self.context(), list[str]()
        for state in read_unfinished(context.mailbox.projections):
            cause = cause_of(state)
            if cause is None or is_elsewhere(state):
                continue
            if cause.get("detached") and not state.is_stopped:
                ids += self._resumed(context, state)
            else:
                with suppress(TeamMailError):  # its runs go on, or somebody else does it just now
                    self._dispatcher(DispatchConfig(), detached=False).put_away(state.id, finish=True)
        return ids

    def _resumed(self, context: Context, state: DispatchState) -> list[str]:
        """Go on with an ask, unless that is done already; return its id, if so."""
        with self._turn:
            known = self._carriers.get(state.id)  # who watches it already may have asked for it first
            if self.is_closing or (known and known.is_running):
                return []
            carrier = known or self._rebuilt(context, state)
        carrier.resume(wait=False)
        return [state.id]

    def begin(self) -> None:
        """Go on in a thread with what an earlier console left, once whoever waits for the server has been answered."""

        def resume() -> None:
            if self._closed.wait(_LATER):
                return
            with suppress(TeamMailError):  # what cannot be read now is told by who asks for it
                self.resume_left()

        threading.Thread(target=resume, name="resuming").start()

    def end(self) -> None:
        """Close, and wait until all has ended."""
        self.close()
        self.wait()

    def close(self) -> None:
        """End the streams and the asks; those that are detached are left, and go on with the next console."""
        with self._turn:
            self._closed.set()
            carriers = [*self._carriers.values()]
        for carrier in carriers:
            carrier.ask.changed.tell()
            if carrier.follower:
                carrier.follower.stop()
            if carrier.is_running:
                (carrier.leave if carrier.is_detached else carrier.end)()

    def wait(self) -> None:
        """Wait until all that `close` ends has ended."""
        for carrier in [*self._carriers.values()]:
            carrier.join()
        self._slots.close()
        self.hub.close()
        for carrier in [*self._carriers.values()]:
            carrier.ask.close()

    # -- within the turn

    def _known(self, id: str, owner: str) -> Ask | None:
        carrier = self._carriers.get(id)
        if carrier and carrier.ask.is_broken and not carrier.is_running:
            carrier.ask.close()
            carrier = None  # what came after the break is on record
        if carrier is None:
            context = self.context()
            with suppress(NoSuchRun):
                state = read_dispatch(context.mailbox.projections, id)
                if state.id == id and cause_of(state) is not None and not self.is_closing:
                    carrier = self._seen(context, state, owner)
            if carrier is None:
                return None
        return carrier.ask if _may_see(owner, carrier.ask.owner, is_old=_is_old(carrier.ask)) else None

    def _seen(self, context: Context, state: DispatchState, owner: str) -> Carrier | None:
        """Make an ask anew for whoever may see it."""
        return self._rebuilt(context, state) if _may_see(owner, owner_of(state), is_old=True) else None

    def _prepared(self, id: str, request: AskRequest) -> tuple[Carrier, tuple[Task, ...]]:
        if self.is_closing:
            raise NotReady("the console is ending")
        context = self.context()
        session = checked_session(request.session) if request.session else None
        personas = [persona.id for persona in with_bundled(context.roster).personas]
        turns = self.turns.of(request.owner, session or "")
        plan = checked(request.wanted, personas, turns)
        ask = Ask(id, plan.parts, context.home, context.mailbox.blobs, owner=request.owner)
        ask.asked = request.digest()
        config = {"max_workers": len(plan.parts), "trace_dir": None}
        config |= {"timeout_seconds": request.timeout} if request.timeout else {}
        dispatcher = self._dispatcher(DispatchConfig.model_validate(config), detached=request.detached)
        names = {part.task: part.name for part in plan.parts}
        dispatcher.cause = {
            "console": {"detached": request.detached, "owner": request.owner, "names": names, "asked": ask.asked}
        }
        dispatcher.session = session
        return self._carrier(ask, dispatcher, session), plan.tasks

    def _rebuilt(self, context: Context, state: DispatchState) -> Carrier:
        """Make an ask anew from the log; `first` gives its frames other numbers than they had before."""
        ask, last = rebuilt(context, state, first=int(time.time() * 1000) * 1000)
        detached = bool((cause_of(state) or {}).get("detached"))
        dispatcher = self._dispatcher(DispatchConfig.model_validate({}), detached=detached)
        carrier = self._carrier(ask, dispatcher, session_of(state))
        self._carriers[state.id] = carrier
        self.hub.add(ask)
        if ask.is_elsewhere:
            carrier.follower = Follower(
                ask, context.mailbox.log, self.hub, after=last, supervisor=state.supervisor,
                gone=lambda: self._take_over(carrier),
            )  # fmt: skip
            carrier.follower.start()
        return carrier

    def _take_over(self, carrier: Carrier) -> None:
        """Go on with an ask whose process has ended, if it is one that goes on; else tell those who watch."""
        with self._turn:
            if self.is_closing or carrier.is_running:
                return
            if carrier.is_detached:
                carrier.resume(wait=False)
                return
        carrier.ask.is_elsewhere = False
        carrier.ask.hear([Closing("the process that carried it out has ended; try again")])
        self.hub.add(carrier.ask)

    def _carrier(self, ask: Ask, dispatcher: ParallelDispatcher, session: str | None) -> Carrier:
        def ended(part: Part) -> None:
            if part.answer and not part.error:
                self.turns.add(ask.owner, session or "", part.persona, (part.prompt, part.answer))
            self._tell_places()

        ask.on_end, ask.on_begin = ended, self._tell_places
        return Carrier(ask, dispatcher, self.hub, grace=self.grace)

    def _dispatcher(self, config: DispatchConfig, *, detached: bool) -> ParallelDispatcher:
        made = self.dispatching(config) if self.dispatching else ParallelDispatcher(config, home=self.context().home)
        return replace(made, executor=self._slots.share, leaving=threading.Event() if detached else None)

    def _tell_places(self) -> None:
        """Tell the asks of this console which of their parts wait, and for how many; the hub's thread calls it."""
        asks = [each.ask for each in [*self._carriers.values()] if each.ask.started and not each.ask.is_elsewhere]
        open_parts = [(ask, part) for ask in asks if not ask.is_over for part in ask.parts if not part.status]
        waiting = [(ask, part) for ask, part in open_parts if part.waits]
        at_work = len(open_parts) - len(waiting)
        for place, (ask, part) in enumerate(waiting, at_work + 1 - self.most):
            if place > 0:
                ask.queue(part, place)

    def _forget(self) -> None:
        """Let go of the oldest asks that are over; they can be made anew."""
        with self._turn:
            over = [id for id, each in self._carriers.items() if each.ask.is_settled and not each.ask.viewers]  # noqa: A001
            for id in over[: max(0, len(over) - _MOST_KEPT)]:  # noqa: A001
                self._carriers.pop(id).ask.close()


def _part(ask: Ask, task: str) -> Part:
    matches = [part for part in ask.parts if task in (part.task, part.name)]
    if len(matches) != 1:
        raise NoSuchRun(f"the ask has no task {task!r}")
    return matches[0]


def _here(ask: Ask) -> Ask:
    """Return an ask that this console carries out. Raises NotReady for another one."""
    if ask.is_elsewhere:
        raise NotReady("another console carries this ask out; stop all of it, or its runs one by one")
    return ask


def _is_old(ask: Ask) -> bool:
    """Tell whether an earlier console began an ask, which this one has made anew."""
    return ask.first > 0


def _may_see(who: str, owner: str, *, is_old: bool) -> bool:
    """Tell whether an ask may be seen: by its owner, and by any person if a session of the past started it."""
    return who == owner or (is_old and owner.startswith("login:") and who.startswith("login:"))
