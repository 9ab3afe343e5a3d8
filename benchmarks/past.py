"""The log of a team with a past: sprint after sprint of a year, with their mail, and dispatches in between.

Its events are those that the scheduler and the weaver write, in their order and with their data; hashes are valid and
segments sealed, with their copies. Only flushes are left out, which would take most of the time.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from team_mail.mail.clock import ManualClock
from team_mail.mail.kinds import MailKind
from team_mail.mail.log.disk import Disk
from team_mail.mail.log.event import Draft
from team_mail.mail.log.log import EventLog
from team_mail.mail.query.copies import write_parquet
from team_mail.scheduler.kinds import Kind, LaunchReason, Mode, RunStatus, SprintOutcome, TaskStatus

BODY = 4 * "Chapter three is woven in; please look at the second half before the next tick, above all the names. "
HUMAN = "you"
_PAUSE = timedelta(minutes=47)  # from the end of a sprint to the next
_SUPERVISOR = {"boot": "5c0f1f6e-6a6d-4c8e-9a57-0c2bb7a3b1de", "pid": 4242, "start": "123456"}
_DISPATCHES = 10  # sprints for each dispatch
_EVENTS = 7.0  # that a sprint has for each persona, at least
_LONGEST = timedelta(minutes=63)  # from the start of a sprint to the next, with the share of a dispatch


class _Unflushed(Disk):
    """A disk that flushes nothing: a benchmark's log need not outlast a power cut."""

    def sync(self, descriptor: int) -> None:
        """Do nothing."""

    def sync_folder(self, folder: Path) -> None:
        """Do nothing."""


@dataclass
class Past:
    """Writes the past of a team. `base` is the commit that all its sprints start from, `blob` a patch that is there."""

    log: EventLog
    names: Sequence[str]
    clock: ManualClock
    base: str
    blob: dict[str, Any]
    sprints: int = 0
    written: int = 0
    dice: random.Random = field(default_factory=lambda: random.Random(21))
    given: dict[int, str] = field(default_factory=dict[int, str])  # by sprint, a run with mail in its prompt
    _waiting: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    _held: list[str] = field(default_factory=list[str])

    def write(self, drafts: Sequence[Draft]) -> list[str]:
        """Append events; keep in mind which mail waits for whom; return their ids."""
        events = self.log.append(drafts)
        self.written += len(events)
        for event in events:
            for name in event.recipients if event.kind == MailKind.SENT else ():
                self._waiting.setdefault(name, []).append(event.id)
        return [event.id for event in events]

    def pass_by(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    def sprint(self) -> None:
        """Play one sprint: everybody runs, some conflict, fail or are held, and run again on the mail about it."""
        self.sprints += 1
        number, dice = self.sprints, self.dice
        mode = Mode.SEQUENTIAL if number % 25 == 0 else Mode.PARALLEL
        data = {"sprint": number, "id": self.hash("sprint", number)[:32], "base_branch": "main", "base": self.base}
        data |= {"branch": f"team/sprint-{number}", "mode": mode, "rule": 'parallel = "always"'}
        data |= {"reason": "every 3600 s", "personas": [*self.names]}
        self.write([Draft(Kind.SPRINT_STARTED, "scheduler", data=data)])
        again = self.tick(number, 1, dict.fromkeys(self.names, LaunchReason.BATCH), mode)
        self.tick(number, 2, again | self.woken(again), mode)
        waiting = self.woken({})
        if waiting:
            self.tick(number, 3, waiting, mode)
        ended = {"sprint": number, "outcome": SprintOutcome.SPENT if dice.random() < 0.1 else SprintOutcome.CONVERGED}
        letter = Draft(
            MailKind.SENT, "scheduler", (HUMAN,), f"Sprint {number} converged", BODY, data={"type": "status"}
        )
        self.write([letter, Draft(Kind.SPRINT_FINISHED, "scheduler", data=ended)])
        if number % _DISPATCHES == 0:
            self.pass_by(60)
            self.dispatch(number)
        self.clock.current += _PAUSE

    def woken(self, known: dict[str, LaunchReason]) -> dict[str, LaunchReason]:
        return {name: LaunchReason.MAIL for name in self.names if self._waiting.get(name) and name not in known}

    def tick(self, number: int, tick: int, batch: dict[str, LaunchReason], mode: str) -> dict[str, LaunchReason]:
        """Run a batch and weave what it did; return who has to run again."""
        starts: list[Draft] = []
        ends: list[Draft] = []
        woven: list[tuple[str, str]] = []
        again: dict[str, LaunchReason] = {}
        for name, reason in batch.items():
            run = self.run_id(number, tick, name)
            mail = self._waiting.pop(name, [])
            if mail:
                self.given[number] = run
            starts.append(self.started(number, tick, name, run, reason, mail))
            if tick == 1 and self.dice.random() < 0.6:
                to = self.dice.choice([each for each in self.names if each != name])
                ends.append(Draft(MailKind.SENT, name, (to,), "Chapter three", BODY, run=run, data={"type": "note"}))
            status = RunStatus.FAILED if tick == 1 and self.dice.random() < 0.03 else RunStatus.OK
            changed = status == RunStatus.OK and reason != LaunchReason.MAIL
            ends += self.ended(number, name, run, status, mail, changed=changed)
            if changed:
                woven.append((name, run))
            elif status != RunStatus.OK:
                again[name] = LaunchReason.RETRY
                self._waiting[name] = mail
        self.write(starts)
        self.pass_by(240)
        self.write(ends)
        again |= self.weave(number, tick, woven, final=tick > 1)
        done = {"sprint": number, "tick": tick, "mode": mode, "launched": len(batch)}
        self.write([Draft(Kind.TICK_DONE, "scheduler", data=done)])
        return again

    def started(self, number: int, tick: int, name: str, run: str, reason: str, mail: Sequence[str]) -> Draft:
        data: dict[str, Any] = {"sprint": number, "persona": name, "attempt": tick, "tick": tick, "base": self.base}
        data |= {"agent": "shell", "reason": reason, "mail": [*mail], "supervisor": _SUPERVISOR}
        return Draft(Kind.RUN_STARTED, "scheduler", run=run, data=data)

    def ended(
        self, number: int, name: str, run: str, status: str, mail: Sequence[str], *, changed: bool
    ) -> Iterator[Draft]:
        dice = self.dice
        if changed:
            files = [f"part-{dice.randrange(10)}/file-{dice.randrange(200):04}.txt", f"notes/{name}.md"]
            data = {"sprint": number, "persona": name, "patch": self.blob, "files": files}
            yield Draft(Kind.PATCH_CAPTURED, "scheduler", run=run, data=data | {"insertions": 12, "deletions": 3})
        usage = {"input": dice.randrange(20_000, 90_000), "cached": 8_000, "output": dice.randrange(500, 4_000)}
        usage |= {"usd": round(dice.uniform(0.05, 0.9), 4), "estimated": False, "model": "opus", "session": run[:8]}
        end: dict[str, Any] = {"sprint": number, "persona": name, "agent": "shell", "status": status, "exit": 0}
        end |= {"seconds": round(dice.uniform(40, 230), 3), "detail": "exit 0", "cut": False}
        yield Draft(Kind.RUN_FINISHED, "scheduler", run=run, data=end | {"usage": usage | {"partial": False}})
        if status == RunStatus.OK:
            yield from (Draft(MailKind.READ, name, ref=each, run=run) for each in mail)

    def weave(
        self, number: int, tick: int, woven: Sequence[tuple[str, str]], *, final: bool
    ) -> dict[str, LaunchReason]:
        """Let patches land, conflict, or be held until the next weave."""
        approved, self._held = [("", run) for run in self._held], []
        landed: list[str] = []
        conflicts: list[list[Any]] = []
        drafts: list[Draft] = []
        again: dict[str, LaunchReason] = {}
        for name, run in [*woven, *approved]:
            data: dict[str, Any] = {"persona": name, "tick": tick}
            luck = self.dice.random()
            if luck < 0.06 and landed and name and not final:
                letter = {"type": "conflict", "payload": {"run": run}}
                drafts.append(Draft(MailKind.SENT, "weaver", (name,), "Your patch conflicts", BODY, data=letter))
                data |= {"signature": self.hash(run)[:16], "files": ["part-1/file-0001.txt"], "tip": self.base}
                drafts.append(Draft(Kind.PATCH_CONFLICTED, "weaver", ref=run, data=data))
                conflicts.append([landed[0], run, ["part-1/file-0001.txt"]])
                again[name] = LaunchReason.RETRY
            elif luck > 0.998 and name:
                held = {"files": ["ci.yml"], "why": "sensitive files"}
                drafts.append(Draft(Kind.PATCH_HELD, "weaver", ref=run, data=data | held))
                drafts.append(Draft(Kind.PATCH_APPROVED, HUMAN, ref=run, data={"code": self.hash(run)}))
                self._held.append(run)
            else:
                done = {"commit": self.hash("commit", run)[:40], "how": "apply", "files": [f"notes/{name}.md"]}
                drafts.append(Draft(Kind.PATCH_LANDED, "weaver", ref=run, data=data | done))
                landed.append(run)
        if not drafts:
            return again
        tip = self.hash("commit", landed[-1])[:40] if landed else self.base
        gate: dict[str, Any] = {"sprint": number, "tick": tick, "gate": "tests", "mark": "7c9d", "commit": tip}
        drafts.insert(0, Draft(Kind.GATE_STARTED, "weaver", data=gate))
        gate = gate | {"tree": self.hash("tree", tip)[:40], "passed": True, "score": None, "exit": 0, "seconds": 31.5}
        drafts.insert(1, Draft(Kind.GATE_JUDGED, "weaver", data=gate | {"tries": 1}))
        data = {"sprint": number, "tick": tick, "start": self.base, "tip": tip, "order": landed}
        drafts.append(Draft(Kind.WEAVE_DONE, "weaver", data=data | {"conflicts": conflicts}))
        self.pass_by(40)
        self.write(drafts)
        return again

    def dispatch(self, number: int) -> None:
        """Play a dispatch of six tasks, each after the one before."""
        own = self.hash("dispatch", number)[:32]
        tasks = [f"d{number}-t{task}" for task in range(6)]
        given = [{"task_id": task, "agent": "forge", "description": BODY, "dependencies": []} for task in tasks]
        start = {"dispatch": own, "base": self.base, "branch": f"team/dispatch-{number}", "agent": None}
        self.write([
            Draft(Kind.DISPATCH_STARTED, "scheduler", data=start | {"tasks": given, "supervisor": _SUPERVISOR})
        ])  # fmt: skip
        for task, name in zip(tasks, self.names, strict=False):
            about, run = {"dispatch": own, "task": task}, self.run_id(number, 0, task)
            data: dict[str, Any] = {
                "sprint": 0,
                "persona": name,
                "attempt": 1,
                "tick": 0,
                "base": self.base,
                "mail": [],
            }
            data |= {"agent": "shell", "reason": LaunchReason.TASK, "supervisor": _SUPERVISOR, "input": {"n": 1}}
            self.write([Draft(Kind.RUN_STARTED, "scheduler", run=run, data=data | about)])
            self.pass_by(90)
            ends = [
                draft._replace(data={**(draft.data or {}), **about})
                for draft in self.ended(0, name, run, RunStatus.OK, (), changed=True)
            ]
            decided = {"persona": name, "tick": 1, "commit": self.hash("commit", run)[:40], "how": "apply", "files": []}
            ended = {"persona": name, "status": TaskStatus.SUCCESS, "error": ""}
            self.write([
                *ends, Draft(Kind.PATCH_LANDED, "weaver", ref=run, data=decided | about),
                Draft(Kind.TASK_FINISHED, "scheduler", data=ended | about),
            ])  # fmt: skip
        self.write([Draft(Kind.DISPATCH_FINISHED, "scheduler", data={"dispatch": own, "seconds": 540.0})])

    def run_id(self, number: int, tick: int, name: str) -> str:
        digest = self.hash("run", number, tick, name)
        return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))

    @staticmethod
    def hash(*words: object) -> str:
        return sha256(repr(words).encode()).hexdigest()


def write_past(home: Path, names: Sequence[str], events: int, base: str, blob: dict[str, Any]) -> Past:
    """Write at least so many events, up to the end of a sprint, the last of it some hours or days ago."""
    sprints = events / (_EVENTS * len(names))
    clock = ManualClock(datetime.now(UTC) - sprints * _LONGEST - timedelta(hours=1))
    past = Past(
        EventLog(home / "mail", clock=clock, disk=_Unflushed(), on_sealed=write_parquet), names, clock, base, blob
    )
    while past.written < events:
        past.sprint()
    return past
