"""Recording the result of a weave and moving the branch: one append, then one compare-and-swap.

Every event has an id derived from its run, so that writing it again after a crash changes nothing. A mail comes before
the event it is about, so that after an append that was cut off it is sent again and not lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...mail.letter import Letter
from ...mail.log.event import Draft, derived_id
from ..context import Context
from ..kinds import Kind, PatchStatus
from ..meaning.notice import Notice
from ..state.pulls import is_pull
from ..weaver.commit import WEAVER
from ..weaver.patch import PatchSubmission
from .branch import keep, move
from .gate import GateResult
from .integrate import Integration
from .mails import (
    Text,
    about_conflict,
    about_dangling,
    about_held,
    about_red_before,
    about_refused,
    about_rejected,
    about_unsigned,
    about_unsteady,
    handed_over,
)

_MOST_FILES = 200  # names in an event


def record(context: Context, done: Integration) -> bool:
    """Record a weave, with a mail to each author it concerns; then move the sprint's branch to its tip.

    What landed is kept by a ref before it is on record. Return False if somebody moved the branch meanwhile: then the
    weave is on record, and the branch is not where it should be. Raises LogError or GitError if nothing was recorded,
    and GitError if git refused to move the branch, which the next tick tries again.
    """
    woven, sprint = done.woven, done.sprint
    if woven.landed or woven.present:
        keep(context, sprint.branch, sprint.base, woven.tip)
    context.append([*_drafts(context, done)])
    return woven.tip == woven.start or move(context, sprint, woven.start, woven.tip, f"team-mail: tick {done.tick}")


def _drafts(context: Context, done: Integration) -> Iterator[Draft]:
    yield from _arrived(done)
    yield from _returned(context, done)
    yield from (red_before(context, result) for result in done.red_before)
    yield from (draft for notice in done.dangling for draft in _told(context, notice))
    yield from (_letter(context, about_unsteady(result), "unsteady", result) for result in done.unsteady)
    if done.woven.unsigned:
        yield _unsigned(context, done)
    yield _woven(done)


def _arrived(done: Integration) -> Iterator[Draft]:
    """Write which patches landed, and of which there was nothing left to land."""
    woven = done.woven
    for landed in woven.landed:
        yield _decided(
            done,
            landed.submission,
            Kind.PATCH_LANDED,
            commit=landed.commit,
            how=landed.how,
            files=[*landed.files[:_MOST_FILES]],
        )
    for present in woven.present:
        files = [*present.files[:_MOST_FILES]]
        how = PatchStatus.PRESENT
        yield _decided(done, present.submission, Kind.PATCH_LANDED, commit=woven.tip, how=how, files=files)


def _returned(context: Context, done: Integration) -> Iterator[Draft]:
    """Write which patches did not land, each with the mail about it."""
    woven, human = done.woven, context.settings.team.human
    for conflicted in woven.conflicted:
        files = sorted({hunk.file for hunk in conflicted.hunks})[:_MOST_FILES]
        yield from _mail(
            context,
            conflicted.submission,
            *_addressed(done, conflicted.submission, about_conflict(conflicted)),
            "conflict",
        )
        yield _decided(
            done,
            conflicted.submission,
            Kind.PATCH_CONFLICTED,
            signature=conflicted.signature,
            files=files,
            tip=conflicted.tip,
        )
    for refused in woven.refused:
        yield from _mail(
            context, refused.submission, *_addressed(done, refused.submission, about_refused(refused)), "feedback"
        )
        yield _decided(done, refused.submission, Kind.PATCH_REFUSED, why=refused.reason)
    for held in woven.held:
        yield from _mail(context, held.submission, human, about_held(held), "question")
        yield _decided(done, held.submission, Kind.PATCH_HELD, files=[*held.files[:_MOST_FILES]], why=held.why)
    for rejected in done.rejected:
        submission, gate = rejected.submission, rejected.result.gate
        text = about_rejected(rejected, woven.tip)
        yield from _mail(context, submission, *_addressed(done, submission, text), "feedback")
        partner = rejected.partner
        rival = {"rival": partner.key} if partner else {}
        why = f"gate {gate}, together with {partner.persona}'s," if partner else f"gate {gate}"
        yield _decided(done, submission, Kind.PATCH_REJECTED, why=why, gate=gate, **rival)


def red_before(context: Context, result: GateResult) -> Draft:
    """Write to the human that a gate fails without any patch, once for each tree."""
    return _letter(context, about_red_before(result), "red", result)


def _letter(context: Context, text: Text, key: str, result: GateResult) -> Draft:
    """Write to the human about a gate that judges nothing, once for each tree."""
    subject, body, payload = text
    letter = Letter(
        WEAVER, [context.settings.team.human], subject, body, type="escalate", payload=payload, priority="high",
        key=f"{key} {result.mark} {result.tree}",
    )  # fmt: skip
    return letter.draft(context.mailbox.directory, context.mailbox.blobs)


def _unsigned(context: Context, done: Integration) -> Draft:
    """Write to the human, once in a sprint, that its commits have no signature."""
    subject, body, payload = about_unsigned(done.sprint.branch, done.woven.unsigned)
    letter = Letter(
        WEAVER, [context.settings.team.human], subject, body, type="fyi", payload=payload,
        key=f"unsigned {done.sprint.branch}",
    )  # fmt: skip
    return letter.draft(context.mailbox.directory, context.mailbox.blobs)


def _told(context: Context, notice: Notice) -> Iterator[Draft]:
    """Write to who uses a name that is gone, as work to be done, and to who removed it, to let it know.

    Who is no persona, because people commit too, gets none.
    """
    subject, body, payload = about_dangling(notice)
    for (persona, _, _), kind in ((notice.used_by, "feedback"), (notice.removed_by, "fyi")):
        if context.roster.get(persona):
            letter = Letter(
                WEAVER, [persona], subject[:200], body, type=kind, payload=payload,
                key=f"dangling {kind} {notice.name} {notice.removed_by[1]} {notice.used_by[1]}",
            )  # fmt: skip
            yield letter.draft(context.mailbox.directory, context.mailbox.blobs)


def _woven(done: Integration) -> Draft:
    woven, together = done.woven, [(each.submission, each.partner) for each in done.rejected]
    pairs = [*woven.conflicts, *((patch.key, partner.key, ()) for patch, partner in together if partner)]
    red = [result.gate for result in (*done.red_before, *done.unsteady)]
    data = {
        "sprint": done.sprint.number,
        "tick": done.tick,
        "start": woven.start,
        "tip": woven.tip,
        "order": [landed.submission.key for landed in woven.landed],
        **({"red": red} if red else {}),
        **({"unsigned": woven.unsigned} if woven.unsigned else {}),
        "dangling": [notice.document() for notice in done.dangling],
        "conflicts": [[first, second, [*files[:_MOST_FILES]]] for first, second, files in pairs],
        **_tags(done),
    }
    parts = (woven.landed, woven.present, woven.conflicted, woven.refused, woven.held)
    keys = sorted(
        [decision.submission.key for part in parts for decision in part]
        + [rejected.submission.key for rejected in done.rejected]
    )
    return Draft(Kind.WEAVE_DONE, WEAVER, data=data, id=derived_id("weave", woven.start, *keys, *_again(done)))


def _decided(done: Integration, submission: PatchSubmission, kind: Kind, **data: Any) -> Draft:
    own = derived_id(kind, submission.key, str(done.tick), *_again(done))
    data = {"persona": submission.persona, "tick": done.tick, **data, **_tags(done)}
    return Draft(kind, WEAVER, ref=submission.key, data=data, id=own)


def _again(done: Integration) -> tuple[str, ...]:
    """Tell apart what is decided again after a branch was lost."""
    return ("again", str(done.sprint.lost)) if done.sprint.lost else ()


def _tags(done: Integration) -> dict[str, Any]:
    """Name the dispatch whose patches were woven, where it was one."""
    return {"dispatch": done.sprint.dispatch} if done.sprint.dispatch else {}


def _addressed(done: Integration, submission: PatchSubmission, text: Text) -> tuple[str, Text]:
    """Return who is told what became of a patch, and in which words."""
    to = done.addressee(submission)
    return to, text if to == submission.persona else handed_over(text, submission, to)


def _mail(context: Context, submission: PatchSubmission, to: str, text: Text, kind: str) -> Iterator[Draft]:
    """Write to who is to know what became of a patch; that of a pull request is told at the forge."""
    if is_pull(to) and not context.roster.get(to):
        return
    subject, body, payload = text
    attached = [(f"{submission.persona}.patch", submission.patch)]
    letter = Letter(
        WEAVER, [to], subject[:200], body, type=kind, payload=payload, priority="high", attachments=attached,
        key=f"{kind} {submission.key}",
    )  # fmt: skip
    yield letter.draft(context.mailbox.directory, context.mailbox.blobs)
