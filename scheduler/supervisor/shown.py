"""What a reviewer is shown of what has landed: the diff, what it consists of, and files made from the tree."""

from __future__ import annotations

import secrets
import threading
from contextlib import suppress
from pathlib import Path

from ...mail.render import line
from ...mail.text.units import counted
from ...personas.agent import Job
from ...personas.agents.result import log_of
from ...personas.kinds import OutcomeStatus
from ...personas.setup.preparation import run_quietly
from ..context import Context
from ..landing.clone import checkout
from ..settings.settings import Settings
from ..settings.supervision import ReviewSettings
from .decision import asked_of
from .review import Ask

_SHORT = 12
_MOST_FILES = 20
_DIFF_FILE = "landed.diff"
_LARGEST = 10 << 20  # bytes of all files together
_LOG = 2_000  # characters
_DIFF = ("diff", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames")


def mail_about(context: Context, ask: Ask, notes: list[str]) -> tuple[str, list[str]]:
    """Return the subject and the body of a review mail. Raises GitError."""
    git = context.git
    commits = git.line("log", "--reverse", "--format=%h %an: %s", f"{ask.start}..{ask.tip}").splitlines()
    stat = git.line(*_DIFF, "--stat=100", ask.start, ask.tip).splitlines()
    subject = f"Review {ask.start[:_SHORT]}..{ask.tip[:_SHORT]}, {counted(len(commits), 'commit')}"
    body = [
        "This has landed, and waits for your report:",
        "",
        *(f"    {line(text)}" for text in commits),
        "",
        *(f"    {line(text)}" for text in stat),
        "",
        "The diff is attached; your workspace is a clone of the tree with all of it.",
        *notes,
    ]
    return subject, body


def report_form(settings: Settings, reviewer: str) -> list[str]:
    """Say how to report, and what is read of it."""
    keys = ['"veto": false', '"veto_reason": ""']
    wanted = [gate for gate in settings.gates.values() if gate.report == reviewer]
    keys = [f'"{gate.key or "score"}": 0' for gate in wanted if not gate.veto] + keys
    example = ", ".join(dict.fromkeys([*keys, '"issues": []', '"suggestions": []']))
    bounds = [asked_of(gate) for gate in wanted if not gate.veto]
    passes = f"It passes with {' and '.join(bounds)}." if bounds else ""
    vetoes = "A veto blocks, whatever else is good." if any(gate.veto for gate in wanted) else ""
    return [
        "Write your report, one JSON object, to the file that $TEAM_OUTPUT names, .team/run/output.json:",
        "",
        f"    {{{example}}}",
        "",
        *(text for text in (passes, vetoes) if text),
        "It is about the tree of your workspace as you were given it, and about no other one.",
    ]


def made_before(
    context: Context, ask: Ask, stop: threading.Event, left: float
) -> tuple[list[tuple[str, bytes]], list[str]]:
    """Return what is attached to a review mail, the diff first, and notes about it.

    `stop` ends what makes files, which takes at most the seconds that are `left`. Raises GitError, OSError.
    """
    attached, notes = [(_DIFF_FILE, context.git(*_DIFF, "--binary", ask.start, ask.tip))], list[str]()
    if settings := context.settings.review.get(ask.reviewer):
        made, notes = _made(context, ask, settings, stop, left)
        attached += made
    if len(attached) > 1:
        notes += ["", f"Made from the tree, and attached: {', '.join(line(name) for name, _ in attached[1:])}."]
    return attached, notes


def _made(
    context: Context, ask: Ask, settings: ReviewSettings, stop: threading.Event, left: float
) -> tuple[list[tuple[str, bytes]], list[str]]:
    """Run the command that makes files from the tree, in a clone that is set up; return them, and notes."""
    with checkout(context, ask.tip) as clone:
        out = clone.folder / "out"
        out.mkdir()
        run = f"review-{ask.reviewer}-{secrets.token_hex(8)}"
        job = Job(
            run, ask.reviewer, 1, 0, "", clone.path, clone.folder, clone.home, max(1.0, min(settings.timeout, left)),
            stop, slot=clone.slot.number, port=clone.slot.port,
        )  # fmt: skip
        prepared = clone.prepare(job)
        if prepared.failed and prepared.outcome:
            return [], ["", f"Nothing was made from it, because the set-up failed: {line(prepared.outcome.detail)}."]
        ended = run_quietly(job, [word.replace("{out}", str(out)) for word in settings.before])
        notes = list[str]()
        if ended.status != OutcomeStatus.OK:
            log = log_of(clone.folder).decode(errors="replace")[-_LOG:]
            notes += ["", f"What was to be made from it failed ({line(ended.detail)}):", "", log.strip()]
        made, others = _files(out)
        if others:
            notes += [
                "",
                f"Not attached, because they are no files, or too many or too large: {others} of what was made.",
            ]
        return made, notes


def _files(folder: Path) -> tuple[list[tuple[str, bytes]], int]:
    """Read the files that a command made; return them, and how many others there are, or too many or too large."""
    files, left = list[tuple[str, bytes]](), _LARGEST
    if folder.is_symlink() or not folder.is_dir():
        return files, 0
    paths = sorted(folder.iterdir())
    for path in paths:
        if len(files) < _MOST_FILES and _can_be_attached(path, left):
            with suppress(OSError):
                files.append((path.name, path.read_bytes()))
                left -= len(files[-1][1])
    return files, len(paths) - len(files)


def _can_be_attached(path: Path, most: int) -> bool:
    """Tell whether a path is a file of at most so many bytes, with a name that a mail can have."""
    is_text = path.name.isprintable() and path.name != _DIFF_FILE
    return is_text and path.is_file() and not path.is_symlink() and path.stat().st_size <= most
