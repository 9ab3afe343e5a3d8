"""The rows of the commands that agents call all day: whole processes, from start to exit."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

from bench import Bench
from table import Row, cold, medians, seconds_of
from team_mail.mail.log.event import Draft
from team_mail.mail.log.log import EventLog
from team_mail.personas.running.folder import RunFolder
from team_mail.personas.running.mail_process import MailProcess
from writers import BODY, LETTER, PERSONAS

COMMAND = str(Path(sys.executable).with_name("team-mail"))
TRIVIAL = "import typer\n\n\ndef main(name: str) -> None:\n    typer.echo(name)\n\n\ntyper.run(main)\n"
PEAK = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == 'darwin' else 1024))"
)


def send(bench: Bench) -> list[Row]:
    script, home = bench.folder / "trivial.py", bench.folder / "sends"
    script.write_text(TRIVIAL)
    home.mkdir()
    argv = [COMMAND, "send", "--from", PERSONAS[0], "--to", PERSONAS[1], "--subject", "Chapter three", "--body", BODY]
    own, theirs = medians(
        lambda: seconds_of(argv, {"TEAM_HOME": str(home)}), lambda: seconds_of([sys.executable, str(script), "name"])
    )
    return [cold("`team-mail send`, cold", own, "a trivial Typer command", theirs, 1.1)]


def send_in_run(bench: Bench) -> list[Row]:
    """A send by the command of a run, which asks the run's mail process: while that is up, and when it must start."""
    workspace, home = bench.folder / "workspace", bench.folder / "run" / ".team"
    home.mkdir(parents=True)
    workspace.mkdir()
    folder = RunFolder(workspace)
    folder.make()
    argv = [str(folder.path / "team-mail"), "send", "--to", PERSONAS[1], "--subject", "Chapter three", "--body", BODY]

    def first() -> float:
        with MailProcess(workspace, PERSONAS[0], "run-2", home):
            return seconds_of(argv)

    with MailProcess(workspace, PERSONAS[0], "run-1", home):
        warm, _ = medians(lambda: seconds_of(argv), lambda: seconds_of([sys.executable, "-c", "pass"]))
        words = [COMMAND, *argv[1:], "--from", PERSONAS[0]]
        within, outside = medians(lambda: seconds_of(argv), lambda: seconds_of(words, {"TEAM_HOME": str(home)}))
    fresh, python = medians(first, lambda: seconds_of([sys.executable, "-c", "pass"]))
    more = 1000 * (within - outside)
    return [
        Row("`team-mail send` in a run", f"{more:+.0f} ms", "a send outside", "", "≤ +60 ms", more <= 60),
        cold("`team-mail send` in a run", warm, "python -c pass", python, 3),
        cold("`team-mail send` in a run, the first", fresh, "python -c pass", python, 6),
    ]


def hcom(bench: Bench) -> list[Row]:
    """Send to nobody in particular, and list: in an environment of its own, installed from the package index."""
    place, home = bench.folder / "hcom", bench.folder / "hcom-mail"
    venv.create(place, with_pip=True)
    subprocess.run([place / "bin" / "pip", "install", "--quiet", "hcom"], check=True, stdout=subprocess.DEVNULL)
    home.mkdir()
    theirs, env = str(place / "bin" / "hcom"), {"TEAM_HOME": str(home), "HCOM_DIR": str(bench.folder / "hcom-home")}
    subprocess.run([theirs, "list"], check=False, stdout=subprocess.DEVNULL, env=os.environ | env)
    pairs = {
        "send": (
            [COMMAND, "send", "--from", PERSONAS[0], "--to", PERSONAS[1], "--subject", "Chapter three", "--body", BODY],
            [theirs, "send", "--from", PERSONAS[0], "--", BODY],
        ),
        "list": ([COMMAND, "inbox", "--persona", PERSONAS[1]], [theirs, "list"]),
    }
    rows: list[Row] = []
    for what, words in pairs.items():
        own, rival = medians(*(lambda argv=argv: seconds_of(argv, env) for argv in words))
        rows.append(cold(f"{what}, cold", own, f"hcom {what}", rival, None))
    return rows


def check_1k(bench: Bench) -> list[Row]:
    return check(bench, 1_000)


def check_100k(bench: Bench) -> list[Row]:
    return check(bench, 100_000)


def check(bench: Bench, events: int) -> list[Row]:
    """Look for the unread mail of a persona who has none, and who has one more each time, as others write, too."""
    bench.grow(events)
    log, home = EventLog(bench.log), {"TEAM_HOME": str(bench.log.parent)}
    letters = [LETTER._replace(recipients=(name,)) for name in ("busy", "quiet")]
    log.append(
        [Draft("mail.read", "quiet", ref=event.id) for event in log.append(letters) if "quiet" in event.recipients]
    )

    def look(persona: str, code: int) -> float:
        log.append([LETTER] * 20 + [LETTER._replace(recipients=("busy",))])
        return seconds_of([COMMAND, "check", "-p", persona], home, code)

    nothing, something, python = medians(
        lambda: look("quiet", 0), lambda: look("busy", 3), lambda: seconds_of([sys.executable, "-c", "pass"])
    )
    what = f"`team-mail check`, {events:,} events"
    return [
        cold(f"{what}, nothing unread", nothing, "python -c pass", python, 2),
        cold(f"{what}, new mail", something, "python -c pass", python, 3.5),
    ]


def inbox_1k(bench: Bench) -> list[Row]:
    return inbox(bench, 1_000, 1.7)


def inbox_100k(bench: Bench) -> list[Row]:
    return inbox(bench, 100_000, 1.7)


def inbox_large(bench: Bench) -> list[Row]:
    return inbox(bench, bench.large, 3)


def inbox(bench: Bench, events: int, target: float) -> list[Row]:
    bench.grow(events)
    argv, env = inbox_command(bench)
    own, theirs = medians(lambda: seconds_of(argv, env), lambda: seconds_of([sys.executable, "-c", "import duckdb"]))
    return [cold(f"`team-mail inbox`, cold, {events:,} events", own, "import duckdb", theirs, target)]


def inbox_command(bench: Bench) -> tuple[list[str], dict[str, str]]:
    return [COMMAND, "inbox", "--persona", PERSONAS[7]], {"TEAM_HOME": str(bench.log.parent)}


def memory(bench: Bench) -> list[Row]:
    bench.grow(bench.large)
    argv, env = inbox_command(bench)
    measured = [sys.executable, "-c", PEAK, *argv]
    peak = int(subprocess.run(measured, check=True, capture_output=True, text=True, env=os.environ | env).stdout) / 1e6
    return [
        Row(f"memory of `team-mail inbox`, {bench.large:,} events", f"{peak:.0f} MB", "", "", "≤ 300 MB", peak <= 300)
    ]
