"""The projections of mail, as Ibis expressions over `EVENT_SCHEMA`.

Ibis takes two seconds to start, and agents query at every step: so `compile.py` compiles the expressions once into
`sql/<dialect>/<name>.sql` with named parameters, and `query.py` runs that SQL, which is never written by hand.
"""

from __future__ import annotations

from typing import Any

import ibis
from ibis import _

from ..directory import SCHEDULER, WEAVER
from ..kinds import DECIDED, LASTING, PATCH_HELD, RUN_FINISHED, RUN_LOST, RUN_STARTED, TASK_FINISHED, MailKind

EVENT_SCHEMA = ibis.schema(
    {
        "v": "int64", "seq": "int64", "id": "string", "ts": "string", "kind": "string", "sender": "string",
        "recipients": "array<string>", "subject": "string", "body": "string", "thread": "string",
        "reply_to": "string", "priority": "string", "ref": "string", "run": "string", "data": "json",
        "prev": "string", "hash": "string",
    }
)  # fmt: skip
MARKS = {"read": "unread", "acked": None, "archived": "unarchived", "trashed": "restored"}
FLAGS = (*MARKS, "answered", "bounced")
LIMIT = 999_999_999  # stands for the parameter `limit`, which Ibis cannot express

events: Any = ibis.table(EVENT_SCHEMA, name="events")


@ibis.udf.scalar.builtin(name="argument")
def _argument(var: str) -> str:  # pyright: ignore[reportReturnType, reportUnusedParameter]
    """Stand for a named parameter; `compiled` replaces the call."""


def argument(name: str, dtype: str = "string") -> Any:
    """Return a named parameter of the compiled SQL."""
    value: Any = _argument(name)
    return value.cast(dtype)


def mail(table: Any) -> Any:
    """Keep only the messages."""
    return table.filter(_.kind == str(MailKind.SENT))


SLICE = [name for name in events.columns if name not in {"v", "body", "prev", "hash"}]
SENT = events.kind == str(MailKind.SENT)
TAGGINGS = [str(MailKind.TAGGED), str(MailKind.UNTAGGED)]
MARKED = [str(MailKind(f"mail.{verb}")) for pair in MARKS.items() for verb in pair if verb] + TAGGINGS
STARTED = events.kind == RUN_STARTED
EVERYBODYS = "*"  # stands for a persona in the rows of a slice that all have
CLOSING, OPENING = (
    [str(MailKind(f"mail.{verb}")) for verb in verbs]
    for verbs in (("read", "archived", "trashed"), ("unread", "unarchived", "restored"))
)
WROTE = events.kind.isin(MARKED) | (SENT & events.reply_to.notnull())


def mailbox() -> Any:
    """Select the slice of the log that one persona's mailbox consists of: the mail it received, marked or answered.

    It has the starts of all runs, too, by which a sender is verified. Each row depends on one event only, so the slice
    can be kept and extended as the log grows.
    """
    persona = argument("persona")
    concerned = (SENT & events.recipients.contains(persona)) | ((events.sender == persona) & WROTE)
    return events.filter(concerned | STARTED).select(*SLICE)


def mailboxes() -> Any:
    """Select all personas' slices at once, as stored with a sealed segment: the rows of `mailbox` per `persona`."""
    received = events.filter(SENT).select(*SLICE, persona=_.recipients.unnest())
    wrote = events.filter(WROTE, ~(SENT & events.recipients.contains(events.sender)))
    started = events.filter(STARTED).select(*SLICE, persona=ibis.literal(EVERYBODYS))
    return received.union(wrote.select(*SLICE, persona=_.sender)).union(started)


def standing() -> Any:
    """Select what some events leave open, and what is few: the table `standing` has these rows of each part of the log.

    What one event of a part opens and another one of it closes is in no other question, so the table stays small: runs
    that have not ended, patches that are held, mail that somebody has not read, with the ends and marks whose beginning
    is in an earlier part. Whatever undoes a mark, sprints, dispatches, claims, and what services told are there for
    good.
    """
    own, woven = events.filter(_.sender == SCHEDULER), events.filter(_.sender == WEAVER)
    starts, ends = own.filter(_.kind == RUN_STARTED), own.filter(_.kind.isin([RUN_FINISHED, RUN_LOST]))
    held, decided = woven.filter(_.kind == PATCH_HELD), woven.filter(_.kind.isin(DECIDED))
    begun, over, kept = starts.select(begun="run"), ends.select(over="run"), held.select(kept="ref")
    elsewhere = decided.anti_join(begun, decided.ref == begun.begun)
    letters, marks = mail(events), events.filter(_.kind.isin([*CLOSING, str(MailKind.BOUNCED)]))
    open_ = waiting(events).select(open="id").distinct()
    settled = letters.anti_join(open_, letters.id == open_.open).select(settled="id")
    parts = (
        events.filter(_.kind.re_search(LASTING) | _.kind.isin(OPENING)),
        starts.anti_join(over, starts.run == over.over),
        ends.anti_join(begun, ends.run == begun.begun),
        own.filter(_.kind == RUN_FINISHED, _.data["until"].str.notnull()),
        events.filter(_.kind == TASK_FINISHED, _.data["dispatch"].str.isnull()),
        held,
        elsewhere,
        decided.semi_join(kept, decided.ref == kept.kept),
        letters.semi_join(open_, letters.id == open_.open),
        marks.anti_join(settled, marks.ref == settled.settled),
    )
    seqs = ibis.union(*(part.select("seq") for part in parts), distinct=True)
    return events.semi_join(seqs, "seq").select(*SLICE, "hash")


def waiting(table: Any) -> Any:
    """List the messages of a table that a recipient has not read there, once for each such recipient."""
    to = mail(table).select(*SLICE, persona=_.recipients.unnest())
    closed = table.filter(_.kind == str(MailKind.READ)).select("sender", closed="ref")
    return to.anti_join(closed, (to.id == closed.closed) & (to.persona == closed.sender))


def launched() -> Any:
    """List which of the `runs` the scheduler started, each with its persona; `persona` may be "" here."""
    box = ibis.table(mailbox().schema(), name="launches").filter(_.kind == RUN_STARTED, _.sender == SCHEDULER)
    runs = listed("runs")
    box = box.semi_join(runs, box.run == runs.item)
    return box.select("seq", "run", persona=box.data["persona"].str).order_by("seq")


def listed(name: str) -> Any:
    """Return the table of the items of a parameter, column `item`: a join with it reads of others only what fits."""
    return argument(name, "array<string>").unnest().name("item").as_table()


def letter(table: Any) -> dict[str, Any]:
    """Return the columns of a listed message."""
    return {
        **{name: table[name] for name in ("seq", "id", "ts", "sender", "recipients", "subject")},
        "type": ibis.coalesce(table["data"]["type"].str, "note"),
        **{name: table[name] for name in ("priority", "thread", "reply_to", "run", "data")},
    }


def facts(table: Any) -> Any:
    """List the marks, answers and bounces of messages: seq, kind, message (`ref`), persona."""
    bounced = table.kind == str(MailKind.BOUNCED)
    return table.filter(table.kind.startswith("mail.")).select(
        "seq",
        "kind",
        ref=(table.kind == str(MailKind.SENT)).ifelse(table.reply_to, table.ref),
        persona=bounced.ifelse(table.data["recipient"].str, table.sender),
    )


def _last(kind: str) -> Any:
    return _.seq.max(where=_.kind == f"mail.{kind}").fill_null(0)


def flags(table: Any, *keys: str) -> Any:
    """Fold facts into flags: of a pair of opposite verbs, the later one wins."""
    columns = {verb: _last(verb) > (_last(undo) if undo else 0) for verb, undo in MARKS.items()}
    columns |= {"answered": _last("sent") > 0, "bounced": _last("bounced") > 0}
    return facts(table).filter(_.ref.notnull()).group_by(list(keys)).agg(**columns)


def tags(table: Any) -> Any:
    """Fold taggings into one sorted list of tags per message."""
    taggings = table.filter(_.kind.isin(TAGGINGS)).mutate(tag=_.data["tag"].str)
    last = taggings.group_by("ref", "tag").agg(kind=_.kind.argmax(_.seq)).filter(_.kind == TAGGINGS[0])
    return last.group_by("ref").agg(tags=_.tag.collect().sort())


def with_flags(got: Any, own: Any) -> Any:
    """Give messages that a persona `got` the flags and tags that follow from its `own` events."""
    marks, labels = flags(own, "ref"), tags(own)
    joined = got.left_join(marks, got.id == marks.ref).left_join(labels, got.id == labels.ref)
    return joined.select(
        **letter(got),
        **{flag: ibis.coalesce(marks[flag], False) for flag in FLAGS if flag != "bounced"},
        tags=ibis.coalesce(labels.tags, ibis.literal([], type="array<string>")),
    )


def inbox() -> Any:
    """List one persona's mail, newest first, as of a seq and a time, by state, tag, type, sender and session.

    Of what is the state then, only messages with a seq below `before`.
    """
    persona, box = argument("persona"), ibis.table(mailbox().schema(), name="mailbox")
    box = box.filter(_.seq <= argument("as_of_seq", "int64"), _.ts <= argument("as_of_ts"))
    rows = with_flags(mail(box).filter(_.recipients.contains(persona)), box.filter(_.sender == persona))
    state, sender, kind, tag, session = (argument(name) for name in ("state", "sender", "type", "tag", "session"))
    rows = rows.filter(
        _.seq < argument("before", "int64"),
        session.isnull() | (_.data["session"].str == session),
        ibis.cases(
            (state == "all", True),
            (state == "trashed", _.trashed),
            (state == "archived", _.archived & ~_.trashed),
            else_=~_.archived & ~_.trashed,
        ),
        (~argument("unread", "boolean")) | ~_.read,
        sender.isnull() | (_.sender == sender),
        kind.isnull() | (_.type == kind),
        tag.isnull() | _.tags.contains(tag),
        argument("ids", "array<string>").isnull() | argument("ids", "array<string>").contains(rows.id),
    )
    return rows.order_by(_.seq.desc()).limit(LIMIT)


def flagged() -> Any:
    """List those of some messages that one persona received, by their `ids`, with its flags and tags."""
    persona, ids = argument("persona"), listed("ids")
    box: Any = ibis.table(mailbox().schema(), name="mailbox")
    box = box.mutate(about=(box.kind == str(MailKind.SENT)).ifelse(box.reply_to, box.ref))
    own = box.semi_join(ids, box.about == ids.item).filter(_.sender == persona)
    got = mail(box.semi_join(ids, box.id == ids.item)).filter(_.recipients.contains(persona))
    return with_flags(got, own).order_by("seq")


def message() -> Any:
    """Find the messages with a seq, an id or the beginning of an id; three are enough to see that it is ambiguous.

    Bodies are read of those alone. In a file that somebody else wrote to, another event may have the same seq.
    """
    fits = (_.seq == argument("seq", "int64")) | _.id.startswith(argument("key"))
    matches = mail(events).filter(fits).select("seq").order_by(_.seq).limit(3)
    return mail(events.semi_join(matches, "seq")).filter(fits).order_by("seq")


def thread() -> Any:
    """List a thread's messages, oldest first."""
    return mail(events).filter(_.thread == argument("thread")).order_by(_.seq)


def channel() -> Any:
    """List what was said in one channel, newest first, by type and sender, whoever received it."""
    letters = mail(events).filter(events.data["channel"].str == argument("channel"))
    rows = letters.select(**letter(letters))
    sender, kind = argument("sender"), argument("type")
    rows = rows.filter(sender.isnull() | (_.sender == sender), kind.isnull() | (_.type == kind))
    return rows.order_by(_.seq.desc()).limit(LIMIT)


def states() -> Any:
    """List who has read, acked, archived or answered messages: one row per message and persona."""
    ids = argument("ids", "array<string>")
    about = events.filter(ids.contains(events.ref) | ids.contains(events.reply_to))
    return flags(about, "ref", "persona").order_by("ref", "persona")


def marks() -> Any:
    """List one persona's marks of messages, oldest first."""
    box = ibis.table(mailbox().schema(), name="mailbox").filter(_.sender == argument("persona"), _.kind.isin(MARKED))
    box = box.filter(argument("ids", "array<string>").contains(box.ref))
    return box.select("seq", "ts", "kind", "ref", "run").order_by("seq")


def sent() -> Any:
    """List what one persona sent, newest first; only messages with a seq below `before`."""
    letters = mail(events).filter(_.sender == argument("persona"), _.seq < argument("before", "int64"))
    return letters.select(**letter(letters)).order_by(_.seq.desc()).limit(LIMIT)


def deliveries(table: Any = events) -> Any:
    """List every message once per recipient, with that recipient's flags."""
    to = mail(table).select(*SLICE, persona=_.recipients.unnest())
    marks = flags(table, "ref", "persona").rename(reader="persona")
    return to.left_join(marks, (to.id == marks.ref) & (to.persona == marks.reader)).select(
        *(to[name] for name in to.columns),
        **{flag: ibis.coalesce(marks[flag], False) for flag in FLAGS},
    )


def undelivered() -> Any:
    """List the messages that may be unread, once per recipient, with that recipient's flags.

    Those are in `standing`, but for messages of which somebody undid a mark: these are looked for in `again`, which has
    all events, unless nobody did.
    """
    table: Any = ibis.table(standing().schema(), name="standing")
    undone = table.filter(_.kind.isin(OPENING)).select(undone="ref").distinct()
    known = deliveries(table)
    known = known.anti_join(undone, known.id == undone.undone)
    old: Any = ibis.table(EVENT_SCHEMA, name="again")
    marks, letters = old.filter(_.kind.isin([*MARKED, str(MailKind.BOUNCED)])), mail(old)
    about = letters.semi_join(undone, letters.id == undone.undone)
    about = about.union(marks.semi_join(undone, marks.ref == undone.undone)).select(*SLICE)
    return known.union(deliveries(about))


def counts() -> Any:
    """Count each persona's mail: all, unread, urgent among the unread, archived, trashed."""
    open_mail = ~_.archived & ~_.trashed
    return (
        deliveries()
        .group_by("persona")
        .agg(
            total=open_mail.sum(),
            unread=(open_mail & ~_.read).sum(),
            urgent=(open_mail & ~_.read & (_.priority == "urgent")).sum(),
            archived=(_.archived & ~_.trashed).sum(),
            trashed=_.trashed.sum(),
        )
        .order_by("persona")
    )


def overdue() -> Any:
    """List mail with a due date before `now` that its recipient has not answered, acked, archived or trashed."""
    late = deliveries().mutate(due=_.data["due"].str)
    late = late.filter(_.due < argument("now"), ~_.answered, ~_.acked, ~_.archived, ~_.trashed)
    return late.select("seq", "id", "ts", "sender", "persona", "priority", "due").order_by("due", "seq", "persona")


def unreachable() -> Any:
    """List unread mail of personas that are not on the roster, unless it has already bounced."""
    lost = undelivered()
    lost = lost.filter(~_.read, ~_.bounced, ~argument("roster", "array<string>").contains(lost.persona))
    return lost.select("seq", "id", "sender", "persona", "subject", "thread").order_by("seq", "persona")


def unread() -> Any:
    """List the unread mail of a roster's personas, each once per recipient, oldest first, then by persona."""
    unseen = undelivered().filter(~_.read, ~_.archived, ~_.trashed)
    unseen = unseen.filter(argument("roster", "array<string>").contains(unseen.persona))
    typed = unseen.mutate(type=ibis.coalesce(_.data["type"].str, "note"))
    return typed.select("persona", "seq", "id", "ts", "sender", "subject", "type", "priority", "run").order_by(
        "seq", "persona"
    )


def letters() -> Any:
    """Select the mail that a search looks through, that of one persona or all, with the `text` that it is found by.

    The subject counts three times. Each row depends on one event only, so the table can be extended as the log grows.
    """
    persona = argument("persona")
    own = mail(events).filter(persona.isnull() | _.recipients.contains(persona) | (_.sender == persona))
    text = (own.subject + " " + own.subject + " " + own.subject + " " + own.body).lower()
    return own.select(**letter(own), body=own.body, text=text, length=text.length())


def search() -> Any:
    """Rank `letters` by BM25 (k1 1.2, b 0.75) over the words asked for; a word in the subject counts three times.

    Source of the formula: Robertson and Zaragoza, The Probabilistic Relevance Framework (2009), section 3.4.
    """
    words = argument("words", "array<string>")
    table: Any = ibis.table(letters().schema(), name="letters")
    hits = (
        table.select("seq", "text", "length", word=words.unnest())
        .filter(_.text.contains(_.word))
        .select("seq", "length", "word", count=(_.length - _.text.replace(_.word, "").length()) / _.word.length())
    )
    sizes = table.agg(mean=_.length.mean(), documents=_.count())
    rarity = hits.group_by("word").agg(holding=_.count())
    scored = hits.join(rarity, "word").cross_join(sizes)
    score = (
        ((_.documents - _.holding + 0.5) / (_.holding + 0.5) + 1).ln()
        * _["count"]
        * 2.2
        / (_["count"] + 1.2 * (0.25 + 0.75 * _.length / _.mean))
    )
    exact = scored.mutate(score=score.cast("decimal(18, 12)"))  # a sum of floats depends on the order of its parts
    ranked = exact.group_by("seq").agg(score=_.score.sum().cast("float64"), words=_.count())
    best = ranked.order_by(_.words.desc(), _.score.desc(), _.seq.desc()).limit(LIMIT)
    matches = table.select([each for each in table.columns if each not in {"text", "length"}]).join(best, "seq")
    return matches.order_by(_.words.desc(), _.score.desc(), _.seq.desc()).limit(LIMIT)


def stats() -> Any:
    """Count the events of each kind, with the first and last time."""
    return (
        events.group_by("kind")
        .agg(events=_.count(), first=_.seq.min(), last=_.seq.max(), since=_.ts.min(), until=_.ts.max())
        .order_by("kind")
    )


def people() -> Any:
    """List every sender and recipient, with the number of mails."""
    named = mail(events).select(name=_.recipients.concat(ibis.array([_.sender])).unnest())
    return named.group_by("name").agg(mails=_.count()).order_by("name")


def tagged() -> Any:
    """List the tags of one persona, with the number of messages that have each."""
    box = ibis.table(mailbox().schema(), name="mailbox").filter(_.sender == argument("persona"))
    labels = tags(box).select(tag=_.tags.unnest())
    return labels.group_by("tag").agg(messages=_.count()).order_by("tag")


def messages() -> Any:
    """Fetch whole messages by their ids, newest first."""
    letters, ids = mail(events), listed("ids")
    return letters.semi_join(ids, letters.id == ids.item).order_by(_.seq.desc())


PROJECTIONS = (
    mailboxes, mailbox, inbox, flagged, message, messages, thread, channel, states, marks, sent, counts, overdue,
    unreachable, unread, letters, search, stats, people, tagged, launched, standing,
)  # fmt: skip
