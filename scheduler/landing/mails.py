"""What the weaver writes: one mail for each patch that did not land, which its reader can act on at once.

Pure functions that return subject, body and payload. A conflict mail says first what the author's next workspace holds
and how to go on from it, and then shows every conflict with all three versions, so that nothing has to be looked up.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ...mail.home import RUN_FOLDER
from ...mail.render import clean, line, listed
from ...mail.text.units import and_more, counted
from ...personas.running.folder import CONFLICT, MERGED, THEIRS
from ..meaning.notice import Notice
from ..weaver.marks import GREP
from ..weaver.patch import PatchSubmission
from ..weaver.refusal import why_sensitive
from ..weaver.result import Conflicted, ConflictHunk, NeedsApproval, Refused
from .gate import GateResult
from .sift import Rejected

Text = tuple[str, str, dict[str, Any]]

_ROOM = 36_000  # characters of conflicts: with them a mail fits into its event
_LOG = 20_000  # characters of a gate's output
_SHORT = 12
_LINK = "a submodule or a symbolic link, which leads to something else now"
_UNNAMED = (
    "a repository of its own that .gitmodules does not name: the patch has its commit, which perhaps nobody else has, "
    "and none of its files; if these are wanted, refuse it and say so"
)
_ROW = 120  # letters of a line that is shown
_MOST = 3  # conflicts in the summary, authors of one


def about_conflict(conflict: Conflicted) -> Text:
    """Tell an author what a patch conflicts with, and how to bring it onto the branch."""
    files = list(dict.fromkeys(hunk.file for hunk in conflict.hunks))
    marked = list(dict.fromkeys(hunk.file for hunk in conflict.hunks if hunk.marked))
    whole = [file for file in files if file not in marked]
    commands = _commands(marked)
    rivals = list(dict.fromkeys(who for hunk in conflict.hunks for who, _, _ in hunk.landed_by))
    body = [
        "Your patch was not landed: others had changed the same places before it.",
        "Nothing of it is on the branch, and nothing of it is lost.",
        f"  run   {conflict.submission.key}",
        f"  base  {conflict.submission.base}",
        "",
        f"{counted(len(conflict.hunks), 'conflict')}:",
        *(f"- {_headline(hunk)}" for hunk in conflict.hunks[:_MOST]),
        *([f"- {more}"] if (more := and_more(len(conflict.hunks) - _MOST)) else []),
        "",
        f"The new base is {conflict.tip}; your next workspace is a clone of it,",
        "into whose files your patch is merged: what fits is in already. No command of this mail writes .git.",
        "",
        *_how(conflict.submission, marked, whole, commands),
        "",
        *_shown(conflict.hunks),
    ]
    payload = {
        "run": conflict.submission.key,
        "base": conflict.submission.base,
        "tip": conflict.tip,
        "signature": conflict.signature,
        "files": files,
        "commands": commands,
        "merged": True,
        "landed_by": [[*who] for who in sorted({who for hunk in conflict.hunks for who in hunk.landed_by})],
    }
    by = f" with {listed(rivals)}" if rivals else ""
    return f"Conflict{by} in {listed(files)}", "\n".join(body), payload


def about_refused(refused: Refused) -> Text:
    """Tell an author why a patch was refused."""
    body = (
        f"Your patch (run {refused.submission.key}) was refused: {line(refused.reason)}.\n\n"
        "Nothing of it is on the branch; it is attached. Make your change again without that, in your next workspace; "
        "what is there when your run ends is taken as your next patch.\n"
    )
    return f"Refused: {line(refused.reason)}", body, {"run": refused.submission.key, "reason": refused.reason}


def handed_over(text: Text, submission: PatchSubmission, reader: str) -> Text:
    """Turn the mail for a patch's author into one for a person, because its author will not try it again."""
    subject, body, payload = text
    head = [
        f"{submission.persona} made this change and will not try it again: this was the last attempt.",
        f"  {line(submission.subject)}",
        "To apply it yourself, run at the top of the repository:",
        "",
        f"    {_attachment(submission)} --persona {shlex.quote(reader)} | git apply --3way",
        "",
        f"What {submission.persona} would have been sent:",
        "",
        body,
    ]
    return f"{submission.persona}: {subject}", "\n".join(head), payload


def about_dangling(notice: Notice) -> Text:
    """Tell both authors of a name that is gone and still used, and who of them is to look at it."""
    name, (remover, removed, _), (user, used, _) = line(notice.name), notice.removed_by, notice.used_by
    instead = f"; {line(notice.renamed)} seems to have taken its place" if notice.renamed else ""
    body = [
        f"Both patches are on the branch, and no merge could see it: {line(remover)} removed {name}",
        f"from {line(notice.defined_in)} (commit {removed[:_SHORT]}){instead}.",
        f"{line(user)} began to use it in commit {used[:_SHORT]}, and nothing defines it now:",
        *(f"- {line(place.file)}, line {place.line}: {line(place.text.strip()[:_ROW])}" for place in notice.uses),
        "",
        f"It is for {line(user)} to look, and to mend it where it is wrong; {line(remover)} gets this to know of it.",
        "This was read from the lines of both patches, and no program was run: if the name is defined after all, as by",
        "a program that writes code or by a library, nothing is to be done.",
    ]
    subject = f"{name}, which {line(user)} uses, was removed by {line(remover)}"
    return subject, "\n".join(body), notice.document()


def about_held(held: NeedsApproval) -> Text:
    """Ask the human to approve a patch to files that are sensitive, or that somebody has claimed."""
    short = shlex.quote(held.submission.key)
    reasons = dict.fromkeys(held.unnamed, _UNNAMED) | dict(held.submission.claimed)
    body = [
        f"A patch of {held.submission.persona} waits for you (run {held.submission.key},",
        f"made against {held.submission.base[:_SHORT]}),",
        "because it changes files that have power over machines, agents or git, or that somebody has claimed:",
        *(f"- {line(file)}: {why_sensitive(file) or line(reasons.get(file, _LINK))}" for file in held.files),
        "",
        "The whole patch is attached. Read it, above all those files, then either let it land with the next tick:",
        "",
        f"    scheduler approve {short}",
        "",
        f"or refuse it, and say why: scheduler refuse {short} --why ...",
        "The rest of the team goes on meanwhile.",
    ]
    files = {"run": held.submission.key, "persona": held.submission.persona, "files": [*held.files]}
    return f"Approve {held.submission.persona}'s change to {listed(held.files)}?", "\n".join(body), files


def about_unsigned(branch: str, why: str) -> Text:
    """Tell the human that what landed has no signatures, although the git settings ask for them."""
    body = [
        f"Your git settings ask for signed commits, and those on {branch} are unsigned. Git said:",
        "",
        *(f"    {row}" for row in clean(why).splitlines()),
        "",
        "What landed is right all the same. See that this signs, in the environment of the scheduler:",
        "",
        "    git commit-tree -S -m trial 'HEAD^{tree}'",
        "",
        "What lands from then on is signed. `git rebase --exec 'git commit --amend --no-edit -S'` signs what is there.",
        "`sign = false` in [weaver] of team.toml asks for no signatures.",
    ]
    return f"Commits on {branch} are unsigned", "\n".join(body), {"branch": branch}


def about_red_before(result: GateResult) -> Text:
    """Tell the human that a gate fails without any patch, so that it cannot judge them."""
    body = [
        f"Gate {result.gate} fails at {result.commit[:_SHORT]} already, before any patch",
        f"({clean(result.detail)}). So it judges nothing: nobody is blamed, and what is woven lands without its word,",
        "until a patch makes it pass. Mend what it complains of, or the gate; if what it lacked is not in there,",
        "`scheduler gates --again` has it judge again. The end of what it printed:",
        "",
        clean(result.log.decode(errors="replace"))[-_LOG:],
    ]
    return f"Gate {result.gate} was red before the sprint's work", "\n".join(body), {"gate": result.gate}


def about_unsteady(result: GateResult) -> Text:
    """Tell the human that a gate passes and fails on the same tree, so that it cannot judge patches."""
    body = [
        f"Gate {result.gate} passes and fails on the same tree, as on that of {result.commit[:_SHORT]}, too often to",
        "prove anything. So nobody is blamed, and what was woven landed without its word.",
        "Mend the gate. The end of what it printed when it failed last:",
        "",
        clean(result.log.decode(errors="replace"))[-_LOG:],
    ]
    return f"Gate {result.gate} contradicts itself", "\n".join(body), {"gate": result.gate}


def about_rejected(rejected: Rejected, tip: str) -> Text:
    """Tell an author that a gate fails with the patch and passes without it, and what the gate printed.

    If it takes another patch for that, name it: either of them may be the one to change.
    """
    submission, result = rejected.submission, rejected.result
    log = clean(result.log.decode(errors="replace"))[-_LOG:]
    why = line(result.detail) or f"exit {result.exit}"
    body = [
        f"Your patch (run {submission.key}, made against {submission.base}) was taken out:",
        f"the gate {result.gate} passes without it and fails with it ({why}; failed {counted(result.tries, 'time')}).",
        *_together(rejected),
        f"It was tried as commit {result.commit}. Nothing of it is on the branch; it is attached.",
        "",
        f"Your next workspace is a clone of {tip}. Make your change there so that the gate passes;",
        "what the gate printed ends with:",
        "",
        *(f"    {row}" for row in log.splitlines()),
    ]
    payload = {
        "run": submission.key,
        "gate": result.gate,
        "commit": result.commit,
        "score": result.score,
        "exit": result.exit,
        "tip": tip,
    }
    if partner := rejected.partner:
        payload["rival"] = partner.key
        return f"The gate {result.gate} fails with your patch and {partner.persona}'s", "\n".join(body), payload
    return f"The gate {result.gate} fails with your patch", "\n".join(body), payload


def _together(rejected: Rejected) -> Iterator[str]:
    """Say which other patch it takes for the gate to fail."""
    if partner := rejected.partner:
        yield "Alone it passes: it takes this patch as well, which has landed:"
        yield f"  {partner.persona}: {line(partner.subject)} (run {partner.key})"


def _commands(marked: Sequence[str]) -> list[str]:
    """Return the shell command that shows, in the author's next workspace, which marks are left."""
    return [f"grep -nE '{GREP}' -- {' '.join(map(_word, marked))}"] if marked else []


def _attachment(submission: PatchSubmission) -> str:
    """Return the command that prints the patch: it is attached to the reader's newest mail about its run."""
    return f"team-mail attachment {shlex.quote(submission.key)}"


def _how(
    submission: PatchSubmission, marked: Sequence[str], whole: Sequence[str], commands: Sequence[str]
) -> Iterator[str]:
    if marked:
        yield f"What conflicts is marked in {_all(marked)}."
        yield "From <<<<<<< ours to ||||||| base stands the branch, then to ======= what both started from,"
        yield "and from there to >>>>>>> theirs your patch. Put in their place what does justice to both,"
        yield "and delete the marks. This shows those that are left, and nothing once all are settled:"
        yield ""
        yield from (f"    {command}" for command in commands)
        yield ""
        yield "A run that leaves a mark has failed."
    if whole:
        yield f"No merge by lines can settle {_all(whole)}: there the workspace is as the branch."
        yield "If your change is still right, make it again, by hand or with your version of a file FILE:"
        yield f"`tar -C {THEIRS} -cf - FILE | tar -xf -`."
    yield f"All versions of these files are in {RUN_FOLDER}/{CONFLICT}: base, ours (the branch), theirs (your patch)."
    yield f"To have the branch's files instead, without your patch: `git apply -R --allow-empty {MERGED}`."
    yield f"Your patch as it was is attached; `{_attachment(submission)}` prints it."
    yield "Run the project's tests, and end your run: what is in the workspace then is your new patch."


def _shown(hunks: Iterable[ConflictHunk]) -> Iterator[str]:
    """Yield the conflicts, each with all three versions, as far as there is room."""
    room = _ROOM
    for number, hunk in enumerate(hunks, 1):
        if not hunk.theirs + hunk.yours:
            room = 0
        rows = [
            f"{number}. {_headline(hunk)}",
            *(_side("both started from", hunk.was) if hunk.was else []),
            *_side("on the branch now", hunk.theirs),
            *_side("your patch wanted", hunk.yours),
            "",
        ]
        room -= sum(map(len, rows)) + len(rows)
        if room < 0:
            yield f"{number}. and so on: there is no room for the other places; the files show them all"
            return
        yield from rows


def _side(title: str, side: str) -> list[str]:
    rows = clean(side).splitlines()
    return [f"   {title}:", *(f"   | {row}" for row in rows or ["(nothing)"])]


def _headline(hunk: ConflictHunk) -> str:
    where = f"{line(hunk.file)}, line {hunk.line}" if hunk.line else line(hunk.file)
    by = "; ".join(
        f"{line(who)} in {commit[:_SHORT]}{f' (run {line(run)})' if run else ''}"
        for who, commit, run in hunk.landed_by[:_MOST]
    )
    return f"{where}, changed by {by}" if by else where


def _word(name: str) -> str:
    """Quote a name for the shell, within one line."""
    if line(name) == name:
        return shlex.quote(name)
    inner = "".join(
        letter if letter.isalnum() else "".join(f"\\{byte:03o}" for byte in letter.encode()) for letter in name
    )
    return f"\"$(printf '{inner}')\""


def _all(files: Iterable[str]) -> str:
    return ", ".join(map(line, files))
