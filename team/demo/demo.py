"""The demo: one team does the same work twice on a real project, one after the other and all at once, and compares.

The scheduler runs as the command that users run, so the demo shows what they will get.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from ...mail.errors import TeamMailError
from ...mail.render import clean, line
from ...personas.git import Git
from ...scheduler.kinds import Mode
from .material import PERSONAS, QUICK, make_project, make_team, project_files
from .stage import SCHEDULER, DemoRun, Stage, asked, empty_folder, search_path, sprint

_TITLES = {Mode.SEQUENTIAL: "One after the other", Mode.PARALLEL: "All at once"}
_LONGEST_MAIL = 60  # lines
_WIDTH = 74


def demo(folder: Path | None = None, out: TextIO | None = None, *, quick: bool = False) -> bool:
    """Run the demo in an empty or new folder, by default a temporary one, which is kept; tell whether all converged.

    `quick` runs only the parallel sprint, with a small team and without delays: seconds instead of a minute.
    """
    folder = empty_folder(folder)
    stage = Stage(out)
    stage.write(_introduced(folder, quick=quick))
    played: dict[str, DemoRun] = {}
    for mode in [Mode.PARALLEL] if quick else _TITLES:
        make_project(folder / mode)
        make_team(folder / mode, mode, quick=quick)
        stage.head(_TITLES[mode])
        played[mode] = sprint(folder / mode, mode)
    parallel = played[Mode.PARALLEL]
    stage.head("What it took")
    stage.write(summed(parallel.result) if quick else compared(played[Mode.SEQUENTIAL].result, parallel.result))
    stage.head("Conflicts, and the mail about them")
    stage.write(conflicts(parallel))
    stage.head("What landed, in this order")
    stage.write(landed(parallel))
    stage.head("Your mail")
    stage.write(mail_to_human(parallel))
    stage.head("Look around")
    stage.write(around(parallel, _report(parallel)))
    return all(run.result["converged"] for run in played.values())


def _introduced(folder: Path, *, quick: bool) -> Iterator[str]:
    files = project_files()
    modules = sum(name.startswith("kiosk/") for name in files)
    tests = sum(text.count("def test_") for text in files.values())
    yield f"project   kiosk, the till of a small shop: {modules} modules, {tests} tests, in git"
    who = f"{len(PERSONAS)} personas: {len(PERSONAS) - 2}"
    trouble = "one hangs, one crashes, one breaks a test, and seven want the same lines"
    if quick:
        who, trouble = f"{len(QUICK) + 2} personas: {len(QUICK)}", "one crashes, and three pairs want the same lines"
    yield f"team      {who} played by a script that really edits, the weaver, and you; no model is asked"
    yield f"trouble   {trouble}"
    yield f"folder    {folder}"


def compared(sequential: dict[str, Any], parallel: dict[str, Any]) -> Iterator[str]:
    """Compare the results of the sequential and the parallel sprint side by side."""
    rows = [("", *(title.lower() for title in _TITLES.values()))]
    rows += [(key, str(sequential[key]), str(parallel[key])) for key in ("ticks", "runs", "conflicts")]
    rows.append(("authors", str(len(sequential["landed"])), str(len(parallel["landed"]))))
    rows.append(("seconds", f"{sequential['seconds']:.1f}", f"{parallel['seconds']:.1f}"))
    yield from (f"{name:<10} {left:>20} {right:>14}" for name, left, right in rows)
    yield ""
    faster = sequential["seconds"] / max(parallel["seconds"], 0.001)
    yield f"{parallel['ticks']} ticks instead of {sequential['ticks']}, and {faster:.1f} times as fast"


def summed(result: dict[str, Any]) -> Iterator[str]:
    """Summarize a sprint in one line."""
    yield (
        f"{result['ticks']} ticks, {result['runs']} runs, {result['conflicts']} conflicts, "
        f"{len(result['landed'])} authors, {result['seconds']:.1f} seconds"
    )


def conflicts(played: DemoRun) -> Iterator[str]:
    """List the mail about conflicts and gates, and show one in full."""
    mails = played.mail(sender="weaver", type="conflict")
    for mail in [*mails, *played.mail(sender="weaver", type="feedback")]:
        yield f"{mail.recipients[0]:<12} {line(mail.subject)}"
    if mails:
        body = clean(mails[0].body).splitlines()
        yield ""
        yield "One of them, whole:"
        yield ""
        yield f"  | From: {mails[0].sender}"
        yield f"  | To: {', '.join(mails[0].recipients)}"
        yield f"  | Subject: {line(mails[0].subject)}"
        yield "  |"
        yield from (f"  | {part}" for text in body[:_LONGEST_MAIL] for part in _wrapped(text))
        if len(body) > _LONGEST_MAIL:
            yield f"  | … and {len(body) - _LONGEST_MAIL} lines more"


def _wrapped(text: str) -> list[str]:
    """Wrap prose at a readable width; indented lines are commands or code and stay as they are."""
    return [text] if text.startswith(" ") or not text else textwrap.wrap(text, _WIDTH, break_long_words=False)


def landed(played: DemoRun) -> Iterator[str]:
    """List the commits of the sprint's branch in the order in which they landed."""
    git = Git(played.folder / ".git")
    commits = git.line("log", "--reverse", "--format=%h%x09%an%x09%s", f"main..{played.result['branch']}")
    for number, text in enumerate(commits.splitlines(), 1):
        commit, persona, subject = text.split("\t", 2)
        yield f"{number:>2}  {commit}  {line(persona):<12} {line(subject.removeprefix(f'{persona}: '))}"


def mail_to_human(played: DemoRun) -> Iterator[str]:
    """List the mail to the human."""
    mails = played.mail(to="you")
    yield from (f"{mail.sender:<12} {line(mail.subject)}" for mail in mails)
    if not mails:
        yield "nothing"


def _report(played: DemoRun) -> Path | None:
    """Write the scheduler's report with its pictures beside the projects; None if it fails."""
    folder = played.folder.parent / "report"
    try:
        asked(played.folder, SCHEDULER, "report", "--out", str(folder))
    except TeamMailError:
        return None
    return folder


def around(played: DemoRun, report: Path | None) -> Iterator[str]:
    """Suggest what to look at next."""
    rows: Sequence[tuple[str, str]] = (
        (f"cd {played.folder}", "the project of the parallel sprint"),
        (f"git log --stat main..{played.result['branch']}", "what was woven; main and your checkout are untouched"),
        ("team-mail inbox --persona you", "your mail; read NUMBER shows one"),
        ("scheduler history", "the sprint in numbers"),
        ("team console", "the same in a browser: who ran when, what conflicted, the mail"),
        (f"scheduler land {played.result['sprint']}", "take it over into main"),
    )
    width = max(len(command) for command, _ in rows[1:])
    yield from search_path()
    yield rows[0][0]
    yield from (f"{command:<{width}}   {what}" for command, what in rows[1:])
    if report:
        yield f"{'ls ' + str(report):<{width}}   the report: figures, and pictures of who ran when and what landed"
