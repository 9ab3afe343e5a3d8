"""What scheduler and weaver have done, as Ibis expressions over the log: of the sprints, and of each dispatch.

Compiled to `sql/` beside this module by `make sql`. The names of these projections are `scheduler.state.schedule` and
so on. None reads the data of all events: those over `events` begin at a seq or a time, or look at few columns; what
may be needed however old it is comes from the table `standing`.
"""

from __future__ import annotations

from typing import Any

import ibis
from ibis import _

from ...mail.directory import SCHEDULER, WEAVER
from ...mail.kinds import DECIDED, MailKind
from ...mail.query.projections import CLOSING, LIMIT, OPENING, argument, events, listed
from ...mail.query.projections import standing as kept
from ..kinds import DeployOutcome, Kind, Mode, RunStatus

SCHEDULED = r"^(sprint|tick|run|patch|weave|gate|persona|budget|scheduler|review|report|round|deploy)\."
DISPATCHED = r"^(dispatch|task|run|patch|weave|gate)\."
CLAIMED = r"^(claim|task)\."
LATELY = r"^(sprint|gate|scheduler|report|round|deploy)\."
GATHERED = r"^(run|patch)\."
HANDED = (Kind.RUN_OFFERED, Kind.RUN_TAKEN, Kind.RUN_RETURNED, Kind.RUN_RECALLED)
FACT = ("seq", "id", "ts", "kind", "sender", "ref", "run", "data", "hash")

_LETTER = ("seq", "id", "ts", "kind", "sender", "recipients", "subject", "priority", "ref", "run", "data")

standing: Any = ibis.table(kept().schema(), name="standing")


def schedule() -> Any:
    """List the events of sprints, except those of dispatches and of ticks that had nothing to do.

    Those from `since` on and before `until`, and of the sprints themselves, gates and pauses also those from `lately`.
    """
    kind, idle, own = events.kind, events.data["idle"].str, events.data["dispatch"].str.isnull()
    since, until, lately = (argument(name, "int64") for name in ("since", "until", "lately"))
    within = events.filter(events.seq >= lately, events.seq < until)
    within = within.filter((_.seq >= since) | _.kind.re_search(LATELY))
    done = within.filter(kind.re_search(SCHEDULED), own, (kind != str(Kind.TICK_DONE)) | idle.isnull())
    return done.select(*FACT).order_by("seq")


def about() -> Any:
    """List the events of some runs, and those about them, from a seq on."""
    later = events.filter(events.seq >= argument("since", "int64"), events.kind.re_search(r"^(run|patch)\."))
    runs = listed("runs")
    own = later.semi_join(runs, later.run == runs.item).select(*FACT)
    return own.union(later.semi_join(runs, later.ref == runs.item).select(*FACT), distinct=False).order_by("seq")


def began() -> Any:
    """List when sprints began, the newest first: those with a number below `before`, and where the next one began."""
    starts = standing.filter(_.kind == str(Kind.SPRINT_STARTED), _.sender == SCHEDULER)
    starts = starts.select("seq", "ts", number=_.data["sprint"].int).filter(_.number >= 0)
    starts = starts.mutate(until=_.seq.lead().over(order_by=_.seq))
    before = argument("before", "int64")
    return starts.filter(before.isnull() | (_.number < before)).order_by(_.seq.desc()).limit(LIMIT)


def rivals() -> Any:
    """List the last sequential sprints from a commit with the same personas, sorted: where they and the next began."""
    starts = standing.filter(_.kind == str(Kind.SPRINT_STARTED), _.sender == SCHEDULER).select("seq", "data")
    starts = starts.mutate(until=_.seq.lead().over(order_by=_.seq))
    alike = starts.filter(
        _.data["mode"].str == str(Mode.SEQUENTIAL),
        _.data["base"].str == argument("base"),
        _.data["personas"].try_cast("array<string>").unique().sort() == argument("roster", "array<string>"),
    )
    return alike.select("seq", "until").order_by(_.seq.desc()).limit(2)


def paused() -> Any:
    """List what holds on before a seq: the last pause or resumption, and the last deployment, the oldest first."""
    pauses = [str(kind) for kind in (Kind.SCHEDULER_PAUSED, Kind.SCHEDULER_RESUMED, Kind.ROUND_PAUSED)]
    live = (_.kind == str(Kind.DEPLOY_FINISHED)) & (_.data["outcome"].str == str(DeployOutcome.DEPLOYED))
    done = standing.filter(_.kind.isin(pauses) | live, _.seq < argument("before", "int64"))
    last = done.group_by(deploys=done.kind == str(Kind.DEPLOY_FINISHED)).agg(seq=done.seq.max())
    return done.semi_join(last, "seq").select(*FACT).order_by("seq")


def held() -> Any:
    """List the runs whose patch was held before a seq and not decided by then, and where their sprints began."""
    woven = standing.filter(_.sender == WEAVER, _.seq < argument("before", "int64"))
    last = woven.filter(_.kind.isin([*DECIDED, str(Kind.PATCH_HELD)])).group_by("ref")
    last = last.agg(kind=_.kind.argmax(_.seq), first=_.seq.min(where=_.kind == str(Kind.PATCH_HELD)))
    waiting = last.filter(_.kind == str(Kind.PATCH_HELD))
    starts = standing.filter(_.kind == str(Kind.SPRINT_STARTED), _.sender == SCHEDULER).select(began="seq")
    both = waiting.left_join(starts, starts.began < waiting["first"])
    return both.group_by("ref").agg(since=_.began.max().fill_null(0)).order_by("ref")


def latest() -> Any:
    """List the last starts of runs of some personas in sprints, so many of each."""
    done = events.filter(events.sender == SCHEDULER, events.kind == str(Kind.RUN_STARTED))
    done = done.filter(done.data["dispatch"].str.isnull())
    named = done.select("seq", "run", persona=_.data["persona"].str)
    named = named.filter(argument("roster", "array<string>").contains(named.persona))
    ranked = named.mutate(rank=ibis.row_number().over(group_by=_.persona, order_by=_.seq.desc()))
    return ranked.filter(_["rank"] < argument("most", "int64")).select("seq", "run").order_by("seq")


def played() -> Any:
    """List which of some agents have had a run in a sprint."""
    done = events.filter(events.sender == SCHEDULER, events.kind == str(Kind.RUN_STARTED))
    done = done.filter(done.data["dispatch"].str.isnull()).select(agent=_.data["agent"].str)
    return done.filter(argument("agents", "array<string>").contains(done.agent)).distinct().order_by("agent")


def named() -> Any:
    """List the starts of runs whose id begins with some characters."""
    own = events.filter(events.sender == SCHEDULER, events.kind == str(Kind.RUN_STARTED))
    return own.filter(own.run.startswith(argument("key"))).select("seq", "run").order_by("seq")


def mails() -> Any:
    """Count the messages from a seq on and before another by type, the most frequent first."""
    within = events.filter(events.seq >= argument("since", "int64"), events.seq < argument("until", "int64"))
    sent = within.filter(_.kind == str(MailKind.SENT))
    typed = sent.mutate(type=_typed(sent))
    counts = typed.group_by("type").agg(number=_.count(), first=_.seq.min())
    return counts.order_by(_.number.desc(), _["first"])


def letters() -> Any:
    """List the messages from a seq on and before another: who wrote to whom about what."""
    within = events.filter(events.seq >= argument("since", "int64"), events.seq < argument("until", "int64"))
    sent = within.filter(_.kind == str(MailKind.SENT))
    return sent.select("seq", "id", "ts", "sender", "recipients", "subject", type=_typed(sent)).order_by("seq")


def inboxes() -> Any:
    """List the last messages, so many of each, that some personas had not read, archived or trashed before a seq.

    `unread` counts all of theirs. `since` is where the part of the log begins that the seq is in: of what is before
    that, `standing` has all that was open by then, but for messages of which somebody undid a mark.
    """
    since, until = argument("since", "int64"), argument("until", "int64")
    within = events.filter(events.seq >= since, events.seq < until).select(*_LETTER)
    known = standing.filter(standing.seq < since).select(*_LETTER).union(within)
    undone = known.filter(_.kind.isin(OPENING)).select(undone="ref").distinct()
    open_ = _unclosed(known)
    open_ = open_.anti_join(undone, open_.id == undone.undone)
    again: Any = ibis.table(events.schema(), name="again")
    old = _unclosed(again.filter(again.seq < until).select(*_LETTER))
    every = open_.union(old.semi_join(undone, old.id == undone.undone))
    ranked = every.mutate(
        rank=ibis.row_number().over(group_by=_.persona, order_by=_.seq.desc()),
        unread=_.count().over(group_by=_.persona),
    )
    rows = ranked.filter(ranked["rank"] < argument("most", "int64"))
    columns = ("persona", "unread", "seq", "id", "ts", "sender", "subject", "priority", "run")
    return rows.select(*columns, type=_typed(rows)).order_by("seq", "persona")


def _unclosed(table: Any) -> Any:
    """List the messages of a table that one of the roster has not read, archived or trashed there, once for each."""
    roster = argument("roster", "array<string>")
    marks = table.filter(table.kind.isin([*CLOSING, *OPENING]), roster.contains(table.sender))
    pair = ibis.cases(
        *((marks.kind == kind, kinds[0]) for kinds in zip(CLOSING, OPENING, strict=True) for kind in kinds)
    )
    last = marks.mutate(pair=pair).group_by("ref", "sender", "pair").agg(kind=_.kind.argmax(_.seq))
    closed = last.filter(_.kind.isin(CLOSING)).select("ref", reader="sender").distinct()
    sent = table.filter(table.kind == str(MailKind.SENT)).mutate(persona=_.recipients.unnest())
    sent = sent.filter(roster.contains(sent.persona))
    return sent.anti_join(closed, (sent.id == closed.ref) & (sent.persona == closed.reader))


def _typed(table: Any) -> Any:
    return ibis.coalesce(table.data["type"].str.nullif(""), "note")


def schedules() -> Any:
    """List what is on record of all schedules."""
    return events.filter(_.kind.startswith("schedule.")).select(*FACT).order_by("seq")


def dispatches() -> Any:
    """List the starts and ends of all dispatches."""
    return standing.filter(_.kind.startswith("dispatch.")).select(*FACT).order_by("seq")


def dispatched() -> Any:
    """List the events of one dispatch from a seq on; `written` is what their data contains as text, which may be ""."""
    dispatch = argument("dispatch")
    later = events.filter(events.seq >= argument("since", "int64"), events.kind.re_search(DISPATCHED))
    later = later.filter(
        later.data.cast("string").contains(argument("written"))
    )  # much quicker than to take all data apart
    return later.filter(later.data["dispatch"].str == dispatch).select(*FACT).order_by("seq")


def of_dispatches() -> Any:
    """List the events of all dispatches from a seq on."""
    later = events.filter(events.seq >= argument("since", "int64"), events.kind.re_search(DISPATCHED))
    return later.filter(later.data["dispatch"].str.notnull()).select(*FACT).order_by("seq")


def going() -> Any:
    """List the starts of runs that have not ended, of sprints and of dispatches; of everybody without a roster."""
    roster = argument("roster", "array<string>")
    done = standing.filter(standing.sender == SCHEDULER)
    started = done.filter(done.kind == str(Kind.RUN_STARTED))
    started = started.filter(roster.isnull() | roster.contains(started.data["persona"].str))
    ended = done.filter(done.kind.isin([str(Kind.RUN_FINISHED), str(Kind.RUN_LOST)])).select(ended="run")
    return started.anti_join(ended, started.run == ended.ended).select(*FACT).order_by("seq")


def runs() -> Any:
    """List the runs that began before a seq, the newest first: of a persona, a sprint, a dispatch, with a status."""
    own = events.filter(events.sender == SCHEDULER)
    starts = own.filter(own.kind == str(Kind.RUN_STARTED), own.seq < argument("before", "int64"))
    starts = starts.select(
        "seq", "run", persona=_.data["persona"].str, sprint=_.data["sprint"].int, dispatch=_.data["dispatch"].str
    )
    persona, sprint, dispatch, status = (
        argument(name, dtype)
        for name, dtype in (("persona", "string"), ("sprint", "int64"), ("dispatch", "string"), ("status", "string"))
    )
    starts = starts.filter(
        persona.isnull() | (_.persona == persona),
        sprint.isnull() | ((_.sprint == sprint) & _.dispatch.isnull()),
        dispatch.isnull() | (_.dispatch == dispatch),
    )
    lost = str(Kind.RUN_LOST)
    ends = own.filter(own.kind.isin([str(Kind.RUN_FINISHED), lost])).select(
        "seq", over="run", how=(_.kind == lost).ifelse(str(RunStatus.LOST), _.data["status"].str)
    )
    ends = ends.group_by("over").agg(how=_.how.argmin(_.seq))
    both = starts.left_join(ends, starts.run == ends.over)
    both = both.select("seq", "run", status=ibis.coalesce(ends.how, str(RunStatus.OPEN)))
    return both.filter(status.isnull() | (_.status == status)).order_by(_.seq.desc()).limit(LIMIT)


def ended() -> Any:
    """List the ends of runs since a time, those of sprints and of dispatches."""
    done = events.filter(events.sender == SCHEDULER, events.ts >= argument("since"))
    return done.filter(done.kind.isin([str(Kind.RUN_FINISHED), str(Kind.RUN_LOST)])).select(*FACT).order_by("seq")


def spent() -> Any:
    """Sum up what runs used by the day on which they ended, as `total` does: the how many-th of `days` it was.

    `days` are moments at which days begin, the earliest first, and `since` is the first of them.
    """
    done = events.filter(events.sender == SCHEDULER, events.ts >= argument("since"))
    done = done.filter(done.kind.isin([str(Kind.RUN_FINISHED), str(Kind.RUN_LOST)]))
    done = done.filter(done.data["withdrawn"].str.isnull())
    usage, days = done.data["usage"], argument("days", "array<string>")

    def has_begun(day: Any) -> Any:
        return day <= done.ts

    each = done.select(
        day=days.filter(has_begun).length(), given=usage["input"].int, cached=usage["cached"].int,
        written=usage["output"].int, usd=usage["usd"].float, estimated=ibis.coalesce(usage["estimated"].bool, False),
        partial=ibis.coalesce(usage["partial"].bool, False),
    )  # fmt: skip
    is_known = each.given.notnull() & each.written.notnull()
    sums = each.group_by("day").agg(
        runs=_.count(), input=each.given.sum(where=is_known), cached=each.cached.sum(where=is_known),
        output=each.written.sum(where=is_known), usd=each.usd.sum(), estimated=each.estimated.any(),
        tokens_unknown=(~is_known | each.partial).sum(), usd_unknown=(each.usd.isnull() | each.partial).sum(),
        cached_unknown=(each.cached.isnull() | each.partial).sum(),
    )  # fmt: skip
    return sums.order_by("day")


def results() -> Any:
    """List the last ends of runs of some personas since a time, so many of each, of sprints and of dispatches."""
    done = events.filter(events.sender == SCHEDULER, events.ts >= argument("since"))
    done = done.filter(done.kind.isin([str(Kind.RUN_FINISHED), str(Kind.RUN_LOST)]))
    named = done.mutate(persona=done.data["persona"].str)
    named = named.filter(argument("roster", "array<string>").contains(named.persona))
    ranked = named.mutate(rank=ibis.row_number().over(group_by=_.persona, order_by=_.seq.desc()))
    return ranked.filter(_["rank"] < argument("most", "int64")).select(*FACT).order_by("seq")


def printed() -> Any:
    """List the runs that have ended and whose output is kept as a blob, and those that were given up."""
    own = events.filter(events.sender == SCHEDULER)
    done = own.filter(own.kind == str(Kind.RUN_FINISHED))
    done = done.filter(done.data["output"]["sha256"].str.notnull()).select("run", "seq")
    lost = own.filter(own.kind == str(Kind.RUN_LOST)).select("run", "seq")
    return done.union(lost, distinct=False).order_by("seq")


def limited() -> Any:
    """Find the first run whose service named a time after `now`: the seq of its end."""
    done = standing.filter(_.sender == SCHEDULER, _.kind == str(Kind.RUN_FINISHED))
    named = done.filter(_.data["status"].str == str(RunStatus.LIMITED), _.data["until"].str > argument("now"))
    return named.select("seq").order_by("seq").limit(1)


def refused() -> Any:
    """List starts and ends of the runs whose service named a time after `now`, and of those that ended well since.

    Those of sprints and of dispatches: a service knows neither. `since` is where the first of them ended.
    """
    done, finished = events.filter(events.sender == SCHEDULER), str(Kind.RUN_FINISHED)
    ends = done.filter(done.kind == finished, done.seq >= argument("since", "int64"))
    named = (_.data["status"].str == str(RunStatus.LIMITED)) & (_.data["until"].str > argument("now"))
    ends = ends.filter(named | (_.data["status"].str == str(RunStatus.OK))).select(ended="run")
    kinds = done.filter(done.kind.isin([str(Kind.RUN_STARTED), finished]))
    return kinds.semi_join(ends, kinds.run == ends.ended).select(*FACT).order_by("seq")


def claims() -> Any:
    """List what was done to tasks that are there to be claimed, and to claims of paths and names."""
    done = standing.filter(_.kind.re_search(CLAIMED))
    own = (_.kind != str(Kind.TASK_FINISHED)) | _.data["dispatch"].str.isnull()
    return done.filter(own).select(*FACT).order_by("seq")


def offered() -> Any:
    """List what became of the runs that are handed out to workers and have no end."""
    ends = events.filter(events.sender == SCHEDULER, events.kind.isin([str(Kind.RUN_FINISHED), str(Kind.RUN_LOST)]))
    ended = ends.select("run").distinct()
    done = events.filter(events.kind.isin([str(kind) for kind in HANDED]))
    return done.anti_join(ended, done.run == ended.run).select(*FACT).order_by("seq")


def sessions() -> Any:
    """List what was done to sessions themselves: created, paused, resumed, completed, deleted."""
    return standing.filter(_.kind.startswith("session.")).select(*FACT).order_by("seq")


def gathered() -> Any:
    """List what was written in the name of a session, and about the runs that were started so; mail with its text.

    `written` is how the name stands in the data as text.
    """
    named = events.filter(events.data.cast("string").contains(argument("written")))  # quicker than to take data apart
    named = named.filter(named.data["session"].str == argument("session"))
    runs = named.filter(named.kind == str(Kind.RUN_STARTED), named.sender == SCHEDULER).select(started="run")
    about = events.filter(events.kind.re_search(GATHERED))
    about = about.filter(about.run.isin(runs.started) | about.ref.isin(runs.started))
    columns = (*FACT, "recipients", "subject", "body", "thread", "reply_to", "priority")
    both = named.select("seq").union(about.select("seq"), distinct=True)
    return events.semi_join(both, "seq").select(*columns).order_by("seq")


def forge() -> Any:
    """List what was published and taken, and what the team's comments say, as `github.` events have it."""
    return events.filter(events.kind.startswith("github."), events.sender == SCHEDULER).select(*FACT).order_by("seq")


def notices() -> Any:
    """List what came of notices, from a seq on."""
    later = events.filter(events.seq >= argument("since", "int64"), events.sender == SCHEDULER)
    return later.filter(_.kind.startswith("notice.")).select(*FACT).order_by("seq")


def later() -> Any:
    """Find the first event from a seq on that was written after a time."""
    after = events.filter(events.seq >= argument("since", "int64"), events.ts > argument("now"))
    return after.select("seq").order_by("seq").limit(1)


def figures() -> Any:
    """Count the ends of runs, gates, sprints, dispatches and notices since the beginning, with seconds and usage."""
    kinds = [Kind.RUN_FINISHED, Kind.RUN_LOST, Kind.GATE_JUDGED, Kind.SPRINT_FINISHED, Kind.DISPATCH_FINISHED]
    kinds += [Kind.NOTICE_SENT, Kind.NOTICE_FAILED]
    done = events.filter(events.sender.isin([SCHEDULER, WEAVER]), events.kind.isin([*map(str, kinds)]))
    usage = done.data["usage"]
    each = done.select(
        "kind",
        status=ibis.coalesce(done.data["status"].str, done.data["outcome"].str, ""),
        agent=ibis.coalesce(done.data["agent"].str, ""),
        name=ibis.coalesce(done.data["gate"].str, done.data["notify"].str, ""),
        passed=ibis.coalesce(done.data["passed"].bool, False),
        seconds=done.data["seconds"].float,
        usd=usage["usd"].float,
        given=usage["input"].int,
        written=usage["output"].int,
    )
    total = each.group_by(["kind", "status", "agent", "name", "passed"]).agg(
        number=_.count(),
        seconds=_.seconds.sum().fill_null(0),
        usd=_.usd.sum().fill_null(0),
        given=_.given.sum().fill_null(0),
        written=_.written.sum().fill_null(0),
    )
    return total.order_by(["kind", "status", "agent", "name", "passed"])


PROJECTIONS = (
    schedule, about, began, rivals, paused, held, latest, played, named, mails, letters, inboxes, dispatches,
    dispatched, going, ended, spent, results, printed, schedules, of_dispatches, limited, refused, claims, offered,
    sessions, gathered, notices, later, figures, runs, forge,
)  # fmt: skip
