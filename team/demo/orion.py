"""The demo of a team under a supervisor: rounds that are reported on, decided and deployed, and how long they take.

As in the other demo, the commands that users run do the work.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from ...mail.errors import UsageError
from ...mail.log.event import Event
from ...mail.render import line
from ...scheduler.kinds import DeployOutcome, Kind
from .crew import CHANNELS, SECONDS
from .rounds import ROUNDS, Measured, Round, daily, table
from .stage import MAIL, SCHEDULER, DemoRun, Stage, asked, empty_folder, search_path, sprint
from .supervised import CREW, LIVE, make_crew, make_shop

SPEED = 10.0
_SLOWEST, _FASTEST = 0.1, 1000.0
_HUMAN = "you"
_SHORT = 12
_TOLD = frozenset({Kind.ROUND_DECIDED, Kind.DEPLOY_FINISHED})


@dataclass(frozen=True)
class Played:
    """A round that was played, with its figures; `started` is how long the command took beside the round itself."""

    measured: Measured
    run: DemoRun
    started: float


def orion(folder: Path | None = None, out: TextIO | None = None, *, speed: float = SPEED) -> bool:
    """Run the demo in an empty or new folder, by default a temporary one, which is kept; tell whether all was deployed.

    The work of all personas is `speed` times as fast as in the seed, the description that the team is from. Raises
    UsageError.
    """
    if not _SLOWEST <= speed <= _FASTEST:
        raise UsageError(f"--speed is from {_SLOWEST:g} to {_FASTEST:g}, not {speed:g}")
    folder = empty_folder(folder)
    stage = Stage(out)
    stage.write(_introduced(folder, speed))
    played: list[Played] = []
    for each in ROUNDS:
        stage.head(f"A round {each.title}" if not each.careless else "A round with a veto")
        stage.write(_before(each))
        played.append(_played(folder / each.name, each, speed))
        stage.write(outcome(played[-1].run))
    measured = [each.measured for each in played]
    stage.head("What it took")
    stage.write(table(measured))
    stage.write(_counted(played))
    stage.head("Rounds a day, at full length")
    stage.write(daily(measured))
    stage.head("What was said in the round with the veto")
    stage.write(transcript(played[-1].run))
    stage.head("Look around")
    stage.write(_around(played[-1].run))
    return all(_is_deployed(each.run) for each in played)


def _introduced(folder: Path, speed: float) -> Iterator[str]:
    work = ", ".join(f"{name} {seconds:g} s" for name, (seconds, _) in SECONDS.items())
    later = ", ".join(f"{name} {later:g} s" for name, (first, later) in SECONDS.items() if later != first)
    yield "project   a shop whose page is drawn to a picture, in git"
    yield f"team      {', '.join(CREW)}; orion is the program, the others are played by a script; no model is asked"
    yield f"work      {work}"
    yield "          The seed, the description that this team is from, gives some of them twice. The demo takes its"
    yield f"          first figures for the first run of a round, and its second ones ({later}) for a report"
    yield "          after that. Its 8 s for nova and cipher together cannot be, since nova alone takes 10 s."
    yield f"speed     {speed:g}x" + (
        "" if speed == 1 else "; --speed 1 takes the seconds of the seed, two minutes and a half"
    )
    yield f"folder    {folder}"


def _before(each: Round) -> Iterator[str]:
    """Say what sets a round apart."""
    if each.asked:
        yield "Pixel and echo work once, on what nova has landed."
    if each.follows:
        yield "What is reported on and deployed is what the round before has landed. That one comes first, and is not"
        yield "measured: nobody has reported on anything yet, so it is not decided, and scheduler land 1 lands it."
    if each.careless:
        yield "Nova first puts a query together from input."


def _played(folder: Path, each: Round, speed: float) -> Played:
    """Play a round in a shop of its own, with the one before it if there has to be one."""
    make_shop(folder)
    make_crew(folder, each.mode, each.review, speed, each.asked, careless=each.careless)
    if each.follows:
        sprint(folder, each.mode)
        asked(folder, SCHEDULER, "land", "1")
    began = time.monotonic()
    run = sprint(folder, each.mode)
    seconds = float(run.result["seconds"])
    return Played(Measured(each, seconds, speed), run, time.monotonic() - began - seconds)


def _is_deployed(run: DemoRun) -> bool:
    """Tell whether a round ended well, and deployed something."""
    ends = [event.data["outcome"] for event in _of_sprint(run) if event.kind == Kind.DEPLOY_FINISHED]
    return bool(run.result["converged"]) and ends == [DeployOutcome.DEPLOYED]


def outcome(run: DemoRun) -> Iterator[str]:
    """Tell what the gates said, what was decided, and what became of it."""
    for event in _of_sprint(run):
        if event.kind in _TOLD:
            yield from _told(event)


def _told(event: Event) -> Iterator[str]:
    """Tell of a decision or a deployment."""
    if event.kind == Kind.ROUND_DECIDED:
        for gate, passed, why in event.data["gates"]:
            yield f"gate {gate} {'passes' if passed else 'blocks'}: {line(why)}"
        yield f"{event.data['decision']}, by {event.data['by']}"
    else:
        yield f"deploy: {event.data['outcome']} {event.data['commit'][:_SHORT]}, {line(event.data['why'])}"


def _counted(played: Sequence[Played]) -> Iterator[str]:
    most = max(each.started for each in played)
    yield "Measured is from a round's first event to its last; scheduler sprint itself starts and ends in"
    yield f"{most:.2f} s at most on top of that, which scheduler run pays once."


def transcript(run: DemoRun) -> Iterator[str]:
    """Merge what was said in all channels with the decisions and deployments, in the order of the log."""
    events = [*_of_sprint(run)]
    began = datetime.fromisoformat(events[0].ts)
    channels = dict.fromkeys(CHANNELS.values())
    lines = [(mail["seq"], mail["ts"], _said(mail)) for channel in channels for mail in _mails(run, channel)]
    lines += [
        (event.seq, event.ts, f"{'':<8} {text}") for event in events if event.kind in _TOLD for text in _told(event)
    ]
    for _, ts, text in sorted(lines, key=lambda each: each[0]):
        yield f"{(datetime.fromisoformat(ts) - began).total_seconds():6.2f} s  {text}"


def _mails(run: DemoRun, channel: str) -> list[dict[str, Any]]:
    """List the mail of a channel, as the human's own command does."""
    return json.loads(asked(run.folder, MAIL, "inbox", "--channel", channel, "--persona", _HUMAN, "--json"))


def _said(mail: dict[str, Any]) -> str:
    who = f"{mail['sender']} to {', '.join(mail['recipients'])}"
    return f"{'#' + mail['channel']:<8} {line(who)} ({mail['type']}): {line(mail['subject'])}"


def _of_sprint(run: DemoRun) -> Iterator[Event]:
    """Yield the events from the beginning of the sprint on."""
    begun = False
    for event in run.log.read():
        begun = begun or (event.kind == Kind.SPRINT_STARTED and event.data["sprint"] == run.result["sprint"])
        if begun:
            yield event


def _around(run: DemoRun) -> Iterator[str]:
    live = run.folder.with_name(f"{run.folder.name}-{LIVE}")
    rows = (
        ("cat .team/team.toml", "teams, channels, gates, reviews and the deployment"),
        ("team-mail inbox --channel review", "what was asked, and what was said of it"),
        ("scheduler history", "the round in numbers"),
        ("team console", "the same in a browser"),
        (f"ls {live}", "what is live; page.png is its page"),
    )
    yield from search_path()
    yield f"cd {run.folder}"
    width = max(len(words) for words, _ in rows)
    yield from (f"{words:<{width}}   {what}" for words, what in rows)
