"""The list of what needs a person and the notices about it say the same: a random walk against a naive list."""

from __future__ import annotations

import shutil
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from team_mail.mail.letter import Letter
from team_mail.mail.log.event import Draft, new_id
from team_mail.mail.process import myself
from team_mail.scheduler.claims.claims import NewTask
from team_mail.scheduler.kinds import NeedKind
from team_mail.scheduler.landing.judging import gates_of
from team_mail.scheduler.leader import alive
from team_mail.scheduler.notify.lost import Signs
from team_mail.scheduler.notify.outbox import Outbox
from team_mail.scheduler.overview.needs import reader_of
from team_mail.scheduler.overview.overview import overview
from team_mail.scheduler.sprint.control import approve_patch

SETTINGS = '[gates.sound]\ncommand = ["make", "test"]\n[deploy]\ncommand = ["true"]\n'
GONE = {"boot": "another", "pid": 1, "start": "1"}
DEAD = GONE | {name: myself()[name] for name in ("host", "boot")}
STEPS = (
    "question", "note of a program", "trouble", "read", "hold", "approve", "aside", "answer", "rounds", "pause",
    "resume", "budget", "sprint", "dispatch", "ask", "finish", "deploy fails", "deploy", "cut off deploy", "red",
    "green", "task", "claim", "clean", "give up", "done", "paths",
)  # fmt: skip


class Walk:
    """What happens to a team, and what of it needs a person: kinds with the seq of the event that made each."""

    def __init__(self, team):
        shutil.rmtree(team.home / "mail", ignore_errors=True)
        self.context = team.context({}, SETTINGS)
        self.human = self.context.settings.team.human
        self.open, self.sprints, self.dispatches, self.mail, self.tasks = {}, 0, [], [], 0
        self.sprint()

    def write(self, kind, sender="scheduler", **more):
        data = more.pop("data", {})
        return self.context.append([Draft(kind, sender, data=data, **more)])[0]

    def asks(self, thing, kind, event):
        self.open[thing] = (kind, event.seq)

    def settle(self, *names):
        self.open = {thing: need for thing, need in self.open.items() if thing[0] not in names}

    def sprint(self):
        self.sprints += 1
        base = self.context.base()
        start = {"sprint": self.sprints, "id": new_id(), "base_branch": "main", "base": base, "branch": "b"}
        start |= {"mode": "parallel", "rule": "", "reason": "", "personas": ["ann", "bob"]}
        self.write("sprint.started", data=start)
        self.settle("aside", "budget")

    def send(self, sender, to, type_):
        return self.context.mailbox.send(Letter(sender, [to], "About it", "x", type=type_))

    def question(self):
        self.mail.append(sent := self.send("bob", self.human, "question"))
        self.asks(("mail", sent.id), NeedKind.MAIL, sent)

    def note_of_a_program(self):
        self.send("scheduler", self.human, "status")

    def trouble(self):
        self.mail.append(sent := self.send("scheduler", self.human, "escalate"))
        self.asks(("mail", sent.id), NeedKind.MAIL, sent)

    def read(self):
        if self.mail:
            sent = self.mail.pop()
            self.context.mailbox.read(self.human, sent.id)
            self.open.pop(("mail", sent.id), None)

    def hold(self):
        run = new_id()
        start = {"sprint": self.sprints, "persona": "ann", "attempt": 1, "tick": 1, "base": self.context.base()}
        start |= {"agent": "shell", "reason": "batch", "mail": [], "supervisor": myself()}
        patch = {"sha256": "0" * 64, "size": 5}
        self.write("run.started", run=run, data=start)
        self.write("patch.captured", run=run, data={"patch": patch, "files": ["Makefile"]})
        self.write("run.finished", run=run, data={"status": "ok", "seconds": 1.0, "detail": ""})
        held = {"persona": "ann", "tick": 1, "files": ["Makefile"], "why": "sensitive files"}
        self.asks(("held", run), NeedKind.PATCH, self.write("patch.held", "weaver", ref=run, data=held))

    def approve(self):
        if runs := [thing for thing in self.open if thing[0] == "held"]:
            approve_patch(self.context, runs[0][1], self.human)
            del self.open[runs[0]]

    def aside(self):
        data = {"sprint": self.sprints, "persona": "ann", "why": "3 attempts spent"}
        answered = any(mail.sender == self.human for mail in self.context.state(whole=False).unread.get("ann", ()))
        event = self.write("persona.skipped", data=data)
        if not answered:
            self.asks(("aside", "ann"), NeedKind.PERSONA, event)

    def answer(self):
        self.send(self.human, "ann", "note")
        self.settle("aside")

    def rounds(self):
        data = {"sprint": self.sprints, "why": "nothing landed"}
        self.asks(("rounds",), NeedKind.ROUND, self.write("round.paused", "supervisor", data=data))
        self.settle("pause")

    def pause(self):
        self.asks(("pause",), NeedKind.PAUSE, self.write("scheduler.paused", "eve"))

    def resume(self):
        self.write("scheduler.resumed", "eve")
        self.settle("rounds", "pause")

    def budget(self):
        data = {"sprint": self.sprints, "budget": "sprint", "day": "", "limit": "$5"}
        self.asks(("budget",), NeedKind.BUDGET, self.write("budget.spent", data=data))

    def dispatch(self, request=""):
        name = new_id()
        start = {"dispatch": name, "base": "", "branch": "", "agent": None, "tasks": [{"task_id": "a"}], "config": {}}
        start |= {"supervisor": GONE} | ({"ask": {"id": "1", "step": "work", "request": request}} if request else {})
        event = self.write("dispatch.started", data=start)
        self.asks(("dispatch", name), NeedKind.ASK if request else NeedKind.DISPATCH, event)

    def ask(self):
        self.dispatch("mend the login")

    def finish(self):
        if names := [thing for thing in self.open if thing[0] == "dispatch"]:
            del self.open[names[0]]
            end = {"dispatch": names[0][1], "successful": 0, "failed": 1, "skipped": 0, "seconds": 1.0}
            self.write("dispatch.finished", data=end)

    def _deploy(self, outcome=None):
        commit = {"sprint": self.sprints, "commit": self.context.base(), "tree": "t" * 40}
        decided = commit | {"decision": "APPROVED", "blocks": [], "gates": []}
        self.write("round.decided", "supervisor", data=decided)
        event = self.write("deploy.started", "supervisor", data=commit | {"attempt": 1, "run": "deploy-1"})
        if outcome:
            data = commit | {"attempt": 1, "outcome": outcome, "why": "exit 1"}
            event = self.write("deploy.finished", "supervisor", data=data)
        self.settle("deploy")
        if outcome != "deployed":
            self.asks(("deploy",), NeedKind.DEPLOY, event)

    def deploy_fails(self):
        self._deploy("failed")

    def deploy(self):
        self._deploy("deployed")

    def cut_off_deploy(self):
        self._deploy()

    def _judged(self, *, passed):
        (gate,) = gates_of(self.context)
        tree = self.context.git.line("rev-parse", "main^{tree}")
        data = {"sprint": self.sprints, "tick": 0, "gate": gate.name, "mark": gate.mark, "commit": self.context.base()}
        data |= {"tree": tree, "passed": passed, "tries": 1, "on_base": True}
        return self.write("gate.judged", "weaver", data=data)

    def red(self):
        event = self._judged(passed=False)
        if ("passed",) not in self.open:
            self.asks(("red",), NeedKind.GATE, event)

    def green(self):
        self._judged(passed=True)
        self.settle("red")
        self.open[("passed",)] = None

    def task(self):
        self.tasks += 1
        self.context.claims.add(NewTask(f"task-{self.tasks}"), "eve")

    def claim(self):
        claims = self.context.claims
        tasks = claims.moment().fold.tasks.values()
        for task in [task for task in tasks if not task.end and not task.is_spent and not task.current][:1]:
            taken = claims.claim(task.name, "ann", 900, process=DEAD)
            self.open["claim", taken.token] = (NeedKind.CLAIM, taken.token)

    def paths(self):
        if ("paths",) not in self.open:
            taken = self.context.claims.hold(["src/**"], [], "ann", 900, process=DEAD)
            self.open[("paths",)] = (NeedKind.CLAIM, taken.token)

    def clean(self):
        self.context.claims.clean("eve")
        self.settle("claim", "paths")
        for task in self.context.claims.moment().fold.tasks.values():
            if task.is_spent and ("task", task.name) not in self.open:
                self.open["task", task.name] = (NeedKind.TASK, task.version)
                sent = self.context.mailbox.log.head().seq  # its mail is written after it
                self.open["mail", task.name] = (NeedKind.MAIL, sent)

    def give_up(self):
        self.task()
        name = f"task-{self.tasks}"
        for _ in range(3):
            self.context.claims.claim(name, "ann", 900, process=DEAD)
            self.clean()

    def done(self):
        if names := [thing for thing in self.open if thing[0] == "task"]:
            taken = self.context.claims.claim(names[0][1], "ann", 900, process=myself())
            self.context.claims.finish(names[0][1], taken.token, "ann")
            del self.open[names[0]]


def announced(context):
    """Everything that a sender of notices would say needs the human, had it followed the log from its beginning."""
    outbox, needs = Outbox("me", ["needs-me"], reader_of(context), 0), []
    for event in context.mailbox.log.read():
        outbox.add(event)
    now = context.clock.now() + timedelta(seconds=6)
    outbox.look(Signs(alive, deploying=False, over=context.claims.moment().over()), now)
    while notice := outbox.turn(now).notice:
        needs += notice.needs
        data = {"notify": "me", "notice": notice.id, "events": [event.id for event in notice.events]}
        outbox.settle(context.append([Draft("notice.sent", "scheduler", data=data)])[0])
    return needs


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(STEPS), min_size=10, max_size=60))
def test_what_is_announced_is_listed_while_it_is_open_and_what_is_listed_is_announced(team, steps):
    team.roster("ann", "bob")
    walk = Walk(team)
    for step in steps:
        getattr(walk, step.replace(" ", "_"))()

    listed = overview(walk.context, walk.context.clock.now()).needs
    said = {(need.kind, need.seq): need for need in announced(walk.context)}

    assert {(need.kind, need.seq) for need in listed} == {need for need in walk.open.values() if need}
    for need in listed:
        other = said[need.kind, need.seq]
        assert (other.key, other.command, other.urgent) == (need.key, need.command, need.urgent)
        assert need.text.startswith(other.text)
        assert need.document() | {"text": other.text} == other.document()
