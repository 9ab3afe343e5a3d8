"""Deploys what was approved: at most once per tree by itself, with the start on record before anything happens.

A command runs in a private clone of the commit. A persona gets a mail of the type `deploy`, and its run is the
deployment. What a crash leaves in between is looked into by `check`, else it is the human's. Whoever leads deploys, and
a person who lets a commit be deployed does so at once; a lock keeps them from doing so at the same time.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ...mail.directory import SUPERVISOR
from ...mail.kinds import MailKind
from ...mail.letter import Letter
from ...mail.log.event import Draft, derived_id
from ...mail.render import clean, line
from ...personas.agent import Job, Outcome
from ...personas.agents.command import CommandAgent
from ...personas.kinds import OutcomeStatus
from ...personas.running.process import is_going
from ..context import Context
from ..errors import BranchMoved, NoSuchRun, NotLeader, NotReady, Stopped
from ..kinds import DeployOutcome, Kind, RunStatus
from ..landing.branch import fast_forward_base
from ..landing.clone import checkout
from ..leader import Leader
from ..progress import Listener, Progress, silent
from ..state.facts import Decided, Deploy, Run
from ..state.sprints import State

_SHORT = 12
_LOG = 2_000  # characters of an output in a mail
_TYPE = "deploy"
_FOLDER = "deploy"  # in .team/work: its lock, and its clones
_STOPPED = "stopped while a commit was deployed; scheduler approve deploy looks what became of it"
_LOOK = 0.1  # seconds between two looks whether somebody else's deployment has ended


@dataclass(frozen=True)
class Ended:
    """How an attempt at a deployment ended; `why` is one line for people and `log` the end of its output.

    If it `waits`, only a person can let it begin.
    """

    outcome: DeployOutcome
    why: str
    seconds: float | None = None
    log: str = ""
    waits: bool = False


@dataclass
class Deployment:
    """The deployment of one team's commits. `listener` is told of it."""

    context: Context
    listener: Listener = silent

    def carry_out(self, decided: Decided, stop: threading.Event) -> bool:
        """Do what is next for a decision; return whether anything was written.

        Waits while somebody else deploys. Raises Stopped once `stop` is set; then its end is on record as unknown until
        it is looked into.
        """
        with self._alone(stop):
            state, own = self._now(decided)
            if own and own.outcome:
                return False
            if own:
                return self._settle(state, decided, own, stop)
            self._attempt(state, decided, 1, stop)
            return True

    def release(self, decided: Decided, sender: str, stop: threading.Event) -> Deploy | None:
        """Deploy what a person lets be deployed, whatever became of it before; return what became of it now.

        What is live by now is not deployed again. Where nobody knows what a crash left, that is told, and nothing is
        done. None if a persona is to do it in a sprint. Raises NotLeader if somebody else deploys just now, NotReady if
        a persona does, Stopped once `stop` is set, LogError, GitError.
        """
        with self._lock():
            state, own = self._now(decided)
            if busy := self._by_persona(state, own):
                raise NotReady(f"{busy.commit[:_SHORT]} is still to be deployed, by a persona; wait for its end")
            self.listener(Progress(f"approved: {decided.commit[:_SHORT]}, {decided.text}"))
            data = {"sprint": decided.sprint, "commit": decided.commit}
            self.context.append([Draft(Kind.DEPLOY_APPROVED, sender, data=data)])
            if own and own.outcome is None:
                self._settle(state, decided, own, stop)
                state, own = self._now(decided)
                if own and (own.outcome is None or not self.context.settings.deploy.check):
                    return own if own.outcome else None
            live = last_deployed(state)
            if live and live.tree == decided.tree:
                self.listener(Progress(f"deploy: {live.commit[:_SHORT]} is live already: {live.why}"))
                return live
            self._attempt(state, decided, own.attempt + 1 if own else 1, stop, by_person=True)
            own = self._now(decided)[1]
            return own if own and own.outcome else None

    @staticmethod
    def _by_persona(state: State, own: Deploy | None) -> Deploy | None:
        """Return the deployment of another commit that a persona has not ended yet."""
        return next((each for each in state.deploys if each.outcome is None and each != own and not each.run), None)

    def _now(self, decided: Decided) -> tuple[State, Deploy | None]:
        state = self.context.state(whole=False)
        if state.sprints and decided.sprint < state.sprints[0].number:  # longer ago than a step looks
            state = self.context.state(sprints=state.number - decided.sprint + 1)
        return state, _of(state, decided)

    def _lock(self) -> Leader:
        """Return the lock that keeps everybody else from deploying; taking it raises NotLeader."""
        return Leader(self.context.home / "work" / _FOLDER, "another process deploys just now")

    @contextmanager
    def _alone(self, stop: threading.Event) -> Generator[None]:
        """Take the lock as soon as it is free. Raises Stopped."""
        with ExitStack() as stack:
            waits = False
            while True:
                try:
                    stack.enter_context(self._lock())
                    break
                except NotLeader as error:
                    if not waits:
                        self.listener(Progress(f"deploy: waiting: {error}"))
                        waits = True
                    if stop.wait(_LOOK):
                        raise Stopped("stopped while another process deployed") from None
            yield

    def _settle(self, state: State, decided: Decided, own: Deploy, stop: threading.Event) -> bool:
        """Put on record how an attempt ended whose start is; return whether anything was written."""
        if not own.run:
            return self._follow(state, decided, own)
        self._finish(decided, self._looked_into(decided, own, stop), own.attempt)
        return True

    def _attempt(
        self, state: State, decided: Decided, attempt: int, stop: threading.Event, *, by_person: bool = False
    ) -> None:
        """Deploy, or put on record why not."""
        if ended := self._refused(state, decided, by_person=by_person):
            self._finish(decided, ended, attempt)
        else:
            self._begin(decided, attempt, stop)

    def _refused(self, state: State, decided: Decided, *, by_person: bool) -> Ended | None:
        """Return why nothing is deployed; None if something is."""
        deploy = self.context.settings.deploy
        if not decided.approved:
            return Ended(DeployOutcome.NOT_ATTEMPTED, f"blocked by {', '.join(decided.blocks)}")
        if (last := last_deployed(state)) and last.tree == decided.tree:
            return Ended(DeployOutcome.SKIPPED_NO_CHANGE, f"{last.commit[:_SHORT]} has the same tree")
        if not deploy.is_set:
            return Ended(DeployOutcome.SKIPPED_POLICY, "no [deploy] says how")
        if by_person:
            return None
        why = self._not_by_itself(state, decided, last)
        return Ended(DeployOutcome.SKIPPED_POLICY, why, waits=True) if why else self._landed(state, decided)

    def _not_by_itself(self, state: State, decided: Decided, last: Deploy | None) -> str:
        """Return why only a person can let it be deployed; `last` is what is live."""
        if any(each.outcome == DeployOutcome.FAILED and each.tree == decided.tree for each in state.deploys):
            return "it failed before; scheduler approve deploy tries it again"
        if self.context.settings.deploy.approve == "always":
            return "it waits for scheduler approve deploy"
        if last and not self.context.git.is_ancestor(last.commit, decided.commit):
            return f"it lacks {last.commit[:_SHORT]}, which is live; scheduler approve deploy deploys it"
        return ""

    def _landed(self, state: State, decided: Decided) -> Ended | None:
        """With `auto_land`, move the base first: what cannot land is not deployed."""
        sprint = state.sprint
        if sprint and self.context.settings.team.auto_land and decided.commit in sprint.commits:
            try:
                fast_forward_base(self.context, state, decided.sprint, decided.commit)
            except (BranchMoved, NoSuchRun) as error:
                return Ended(DeployOutcome.SKIPPED_POLICY, f"it could not land: {error}", waits=True)
        return None

    def _begin(self, decided: Decided, attempt: int, stop: threading.Event) -> None:
        """Write down that it begins, and then do it."""
        persona = self.context.settings.deploy.persona
        own = derived_id(Kind.DEPLOY_STARTED, str(decided.sprint), decided.commit, str(attempt))
        run = f"deploy-{decided.commit[:_SHORT]}-{secrets.token_hex(4)}"
        data = self._data(decided, attempt) | ({} if persona else {"run": run})
        started = Draft(Kind.DEPLOY_STARTED, SUPERVISOR, data=data, id=own)
        if persona:
            self.context.append([self._asked(decided, persona, attempt), started])
            self.listener(Progress(f"deploy: {persona} is asked to, and does so in the next sprint if none is open"))
            return
        self.context.append([started])
        self.listener(Progress(f"deploy: {decided.commit[:_SHORT]} begins"))
        self._finish(decided, self._run(decided, self.context.settings.deploy.command or (), stop, run), attempt)

    def _asked(self, decided: Decided, persona: str, attempt: int) -> Draft:
        body = [
            f"{decided.text}: the commit {decided.commit} is to be deployed.",
            "Your workspace is a clone of it. Deploy it, and end your run.",
            "If that fails, end with an error, so that it is not taken for done.",
        ]
        letter = Letter(
            SUPERVISOR, [persona], f"Deploy {decided.commit[:_SHORT]}", "\n".join(body), type=_TYPE,
            payload={"commit": decided.commit, "tree": decided.tree, "sprint": decided.sprint}, priority="high",
            key=f"deploy {decided.sprint} {decided.commit} {attempt}",
        )  # fmt: skip
        return letter.draft(self.context.mailbox.directory, self.context.mailbox.blobs)

    def _follow(self, state: State, decided: Decided, own: Deploy) -> bool:
        """Take the end of the persona's run for that of the deployment."""
        persona = self.context.settings.deploy.persona
        runs = [
            run for run in state.runs
            if run.persona == persona and run.started >= own.started
        ]  # fmt: skip
        last = runs[-1] if runs else None
        if last.status == RunStatus.OPEN if last else state.sprint is None:
            return False  # it goes on, or waits for a sprint in which it can run
        if last is None or last.status != RunStatus.OK:  # what waited unread would start it again later
            mail = str(self._asked(decided, str(persona), own.attempt).id)
            self.context.append([Draft(MailKind.READ, str(persona), ref=mail, id=derived_id("read", mail))])
        self._finish(decided, _of_run(last, str(persona), decided.commit), own.attempt)
        return True

    def _looked_into(self, decided: Decided, own: Deploy, stop: threading.Event) -> Ended:
        """Find out what a deployment did whose end is not on record: nothing is done a second time.

        What is left of its command is ended by its keeper, which is waited for. Raises Stopped once `stop` is set.
        """
        while is_going(self.context.home / "runs" / own.run):
            if stop.wait(_LOOK):
                raise Stopped("stopped while a deployment that was cut off was looked into")
        check = self.context.settings.deploy.check
        if check is None:
            return Ended(DeployOutcome.FAILED, "it was cut off, and no check says whether it is live; look, and decide")
        ended = self._run(decided, check, stop, f"check-{decided.commit[:_SHORT]}-{secrets.token_hex(4)}")
        if ended.outcome == DeployOutcome.DEPLOYED:
            return Ended(DeployOutcome.DEPLOYED, "it was cut off, and check says that it is live", log=ended.log)
        return Ended(
            DeployOutcome.FAILED, f"it was cut off, and check says that it is not live ({ended.why})", log=ended.log
        )

    def _run(self, decided: Decided, command: Sequence[str], stop: threading.Event, run: str) -> Ended:
        """Run a command in a clone of the commit; what it prints is kept in the folder `run` as agents' output is."""
        deploy = self.context.settings.deploy
        folder = self.context.home / "runs" / run
        folder.mkdir(parents=True)
        own = replace(self.context, mirror=self.context.mirror.nested(_FOLDER))  # others may be at work beside it
        with checkout(own, decided.commit) as clone:
            job = Job(
                folder.name, "deploy", 1, decided.sprint, lambda: "", clone.path, folder, clone.home, deploy.timeout,
                stop, slot=clone.slot.number, port=clone.slot.port,
            )  # fmt: skip
            prepared = clone.prepare(job)
            if prepared.failed and prepared.outcome:
                return Ended(DeployOutcome.FAILED, f"set-up failed: {line(prepared.outcome.detail)}")
            outcome = CommandAgent("deploy", tuple(command), env=deploy.env).play(job)
        if outcome.status == OutcomeStatus.STOPPED:
            raise Stopped(_STOPPED)
        return _of_command(outcome, folder)

    def _finish(self, decided: Decided, ended: Ended, attempt: int) -> None:
        """Write down what became of it, with a mail to the human if that is a failure, or waits for a person."""
        data = self._data(decided, attempt) | {"outcome": ended.outcome, "why": ended.why}
        data |= {} if ended.seconds is None else {"seconds": round(ended.seconds, 3)}
        own = derived_id(Kind.DEPLOY_FINISHED, str(decided.sprint), decided.commit, str(attempt))
        drafts = [Draft(Kind.DEPLOY_FINISHED, SUPERVISOR, data=data, id=own)]
        if ended.outcome == DeployOutcome.FAILED or ended.waits:
            drafts = [self._trouble(decided, ended, attempt), *drafts]
        self.context.append(drafts)
        took = "" if ended.seconds is None else f" in {ended.seconds:.1f} s"
        self.listener(Progress(f"deploy: {ended.outcome} {decided.commit[:_SHORT]}{took}: {ended.why}"))

    def _trouble(self, decided: Decided, ended: Ended, attempt: int) -> Draft:
        """Return the mail to the human about a deployment that failed, or waits."""
        name, number = decided.commit[:_SHORT], decided.sprint
        subject = f"Deployment of {name} {'waits for you' if ended.waits else 'failed'}"
        says = f"{decided.text}: {decided.commit}, what round {number} ended with, is not deployed yet: {ended.why}."
        failed = f"The deployment of {decided.commit} failed: {ended.why}.\n"
        failed += "It is not tried again by itself. Once you know what is live:"
        body = [
            says if ended.waits else failed,
            "",
            f"    git log -p {name}      what it is",
            f"    scheduler approve deploy --round {number}      "
            + ("deploys it" if ended.waits else "tries it once more"),
        ]
        if ended.log:
            body += ["", "What it printed ends with:", "", *(f"    {row}" for row in ended.log.splitlines())]
        letter = Letter(
            SUPERVISOR, [self.context.settings.team.human], subject, "\n".join(body), type="escalate", priority="high",
            payload={"commit": decided.commit, "sprint": number, "why": ended.why},
            key=f"deploy {'waits' if ended.waits else 'failed'} {number} {decided.commit} {attempt}",
        )  # fmt: skip
        return letter.draft(self.context.mailbox.directory, self.context.mailbox.blobs)

    def _data(self, decided: Decided, attempt: int) -> dict[str, object]:
        return {"sprint": decided.sprint, "commit": decided.commit, "tree": decided.tree, "attempt": attempt}


def approved_round(context: Context, number: int | None = None) -> Decided:
    """Return the last decision, or that of a round, if it is to deploy. Raises NoSuchRun if it is not."""
    state = context.state(whole=False)
    if number and number < state.number:
        state = context.state(sprints=state.number - number + 1)
    decided = [each for each in state.decided if number in {None, each.sprint}]
    if decided and decided[-1].approved:
        return decided[-1]
    last = f"round {decided[-1].sprint} ended with {decided[-1].text}" if decided else "no such round was decided"
    raise NoSuchRun(f"nothing is approved to be deployed: {last}; scheduler rounds lists them")


def last_deployed(state: State) -> Deploy | None:
    """Return the last deployment that was one."""
    return next((each for each in reversed(state.deploys) if each.outcome == DeployOutcome.DEPLOYED), None)


def _of(state: State, decided: Decided) -> Deploy | None:
    own = (each for each in state.deploys if (each.sprint, each.commit) == (decided.sprint, decided.commit))
    return next(own, None)


def _of_run(run: Run | None, persona: str, commit: str) -> Ended:
    if run is None:
        return Ended(DeployOutcome.FAILED, f"{persona} did not run")
    if run.base != commit:
        return Ended(DeployOutcome.FAILED, f"{persona} ran on {run.base[:_SHORT]}, which is another commit")
    if run.status == RunStatus.OK:
        return Ended(DeployOutcome.DEPLOYED, f"by {persona}", run.seconds)
    return Ended(DeployOutcome.FAILED, f"the run of {persona} ended with {line(run.detail or run.status)}", run.seconds)


def _of_command(outcome: Outcome, folder: Path) -> Ended:
    """Judge a command: only one that ended by itself and well has deployed."""
    log = folder / "output.log"
    said = clean(log.read_bytes()[-_LOG:].decode(errors="replace")) if log.exists() else ""
    if outcome.status == OutcomeStatus.OK:
        return Ended(DeployOutcome.DEPLOYED, outcome.detail, outcome.seconds, said)
    return Ended(DeployOutcome.FAILED, line(outcome.detail), outcome.seconds, said)
