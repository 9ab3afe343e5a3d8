"""Carries out what the supervisor does within a sprint: asks, tells, decides, and has deployed.

All of it is on record before it has an effect, and every event has an id derived from its cause, so that doing it again
after a crash changes nothing.
"""

from __future__ import annotations

import shlex
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from ...mail.directory import SUPERVISOR
from ...mail.letter import Letter
from ...mail.log.event import Draft, derived_id
from ...mail.render import listed
from ..context import Context
from ..errors import Stopped
from ..kinds import Kind
from ..landing.judging import gates_of
from ..progress import Listener, Progress, silent
from ..settings.settings import Settings
from ..sprint.plan import TickPlan
from ..sprint.supervision import Beside
from ..state.facts import Report
from ..state.sprints import State
from .decision import Decision, asked_of, decide_round
from .deploy import Deployment
from .review import NO_GATE, Answer, Ask, answers, asks, asks_at_first, unheard, why_silent
from .shown import made_before, mail_about, report_form

_SHORT = 12
_LAST_ROUND = "last round"


def is_supervised(settings: Settings) -> bool:
    """Tell whether anybody reports on what lands, or anything is deployed."""
    return bool(settings.reporters) or settings.deploy.is_set


def supervision(context: Context, listener: Listener = silent) -> Supervisor | None:
    """Return the supervisor of a team; None if nobody reports, and nothing is deployed."""
    return Supervisor(context, listener) if is_supervised(context.settings) else None


@dataclass
class Supervisor:
    """The supervisor of one team. `listener` is told what people want to know."""

    context: Context
    listener: Listener = silent

    def tell(
        self,
        state: State,
        plan: TickPlan,
        *,
        stop: threading.Event,
        weaving: bool = False,
        making: Collection[str] = (),
        beside: Beside | None = None,
    ) -> bool:
        """Ask for the reports that are due, and tell authors of those that block; return whether anything was begun.

        Files that go with a request are made `beside` the runs, and it is sent then; `making` are those who wait so.
        Raises Stopped once `stop` is set while they are made here.
        """
        if state.sprint is None:
            return False
        settings = self.context.settings
        drafts = [draft for answer in answers(state, settings.gates) for draft in self._answered(state, answer)]
        drafts += [draft for report in unheard(state, settings.gates) for draft in self._unheard(state, report)]
        later: list[Ask] = []
        if not drafts:  # authors who are told have something to do: nobody is asked about what they will change
            is_last = settings.supervisor.review == _LAST_ROUND
            reporters = settings.reporters
            due = asks_at_first(state, reporters) if is_last else asks(state, plan, reporters, weaving=weaving)
            due = [ask for ask in due if ask.reviewer not in making] if self._left(state) > 0 else []
            if beside:
                later = [ask for ask in due if ask.reviewer in settings.review]
                for ask in later:
                    beside(ask.reviewer, partial(self._ask_later, state, ask))
                    self.listener(Progress(f"review: files are made for {ask.reviewer}"))
            drafts = [draft for ask in due if ask not in later for draft in self._asked(state, ask, stop)]
            if stop.is_set():
                raise Stopped("stopped before anybody was asked for a report")
        if drafts:
            self.context.append(drafts)
        return bool(drafts or later)

    def _ask_later(self, state: State, ask: Ask, stop: threading.Event) -> None:
        """Ask once the files are made, unless something else has landed meanwhile, or it is too late."""
        drafts = [*self._asked(state, ask, stop)]
        now = self.context.state(whole=False)
        # What the round before has landed stays what it is about, whatever this one lands.
        is_current = now.sprint is not None and now.number == state.number and ask.tip in {now.sprint.base, now.tip}
        if is_current and self._left(now) > 0 and not stop.is_set():
            self.context.append(drafts)

    def _left(self, state: State) -> float:
        """Return the seconds until the deadline of the open sprint."""
        began = datetime.fromisoformat(state.sprint.started) if state.sprint else self.context.clock.now()
        return self.context.settings.sprint.deadline - (self.context.clock.now() - began).total_seconds()

    def conclude(self, state: State, stop: threading.Event) -> bool:
        """Decide a sprint that is about to end, and deploy what is approved; return whether anything was written."""
        sprint, commit = state.sprint, self._judged_commit(state)
        if sprint is None:
            return False
        for begun in state.deploys:  # of an earlier round, by a persona that ran in this one
            earlier = [each for each in state.decided if (each.sprint, each.commit) == (begun.sprint, begun.commit)]
            own = begun.outcome is not None or (begun.sprint, begun.commit) == (sprint.number, commit)
            if earlier and not own and Deployment(self.context, self.listener).carry_out(earlier[-1], stop):
                return True
        if commit is None:
            return False
        decided = next((each for each in reversed(state.decided) if each.sprint == sprint.number), None)
        if decided is None or decided.commit != commit:
            self._decide(state, commit)
            return True
        return Deployment(self.context, self.listener).carry_out(decided, stop)

    def _judged_commit(self, state: State) -> str | None:
        """Return the commit that is decided about: what has landed, or what the round before had landed; None if none.

        A round that landed nothing decides nothing: what it started from was decided about before, or is people's work.
        Nor does one that was to report on the round before, where nobody was asked to.
        """
        settings, sprint = self.context.settings, state.sprint
        if sprint is None or settings.supervisor.review != _LAST_ROUND:
            return state.tip if sprint and state.tip != sprint.base else None
        is_asked = any(each.sprint == sprint.number for each in state.asked)
        return sprint.base if is_asked or not settings.reporters else None

    def _decide(self, state: State, commit: str) -> None:
        decision, tree = self.decision(state, commit)
        sprint = state.sprint
        assert sprint is not None  # noqa: S101 - see `conclude`
        data = {
            "sprint": sprint.number, "commit": commit, "tree": tree, "decision": decision.text,
            "blocks": [*decision.blocks], "by": self.context.settings.supervisor.name,
            "gates": [[each.gate, each.passed, each.why] for each in decision.verdicts],
        }  # fmt: skip
        own = derived_id(Kind.ROUND_DECIDED, str(sprint.number), commit)
        self.context.append([Draft(Kind.ROUND_DECIDED, SUPERVISOR, data=data, id=own)])
        for verdict in decision.verdicts:
            mark = "passes" if verdict.passed else "blocks"
            self.listener(Progress(f"gate {verdict.gate} {mark}: {verdict.why}"))
        self.listener(Progress(decision.text))

    def decision(self, state: State, commit: str) -> tuple[Decision, str]:
        """Return the decision about a commit as things stand, and its tree. Raises GitError."""
        tree = self.context.git.line("rev-parse", "--verify", f"{commit}^{{tree}}")
        green = {gate.name: (gate.mark, tree) in state.green for gate in gates_of(self.context)}
        gates = self.context.settings.gates
        silent = {gate.report: why_silent(state, gate.report, commit) for gate in gates.values() if gate.report}
        return decide_round(gates, [*_answers(state, commit)], tree, green, silent), tree

    def outlook(self) -> Iterator[str]:
        """Say who reports on what will have landed, what decides, and what is done with it."""
        settings = self.context.settings
        for reviewer, members in settings.reporters.items():
            of = f"what {listed(sorted(members))} landed" if members else "what has landed"
            yield f"review: {reviewer} is asked for a report on {of}"
        yield from (f"gate: {name}, {asked_of(gate)}" for name, gate in settings.gates.items() if gate.report)
        if deploy := settings.deploy.command or settings.deploy.persona:
            how = f"by {deploy}" if isinstance(deploy, str) else f"with {shlex.join(deploy)}"
            waits = ", once a person lets it: scheduler approve deploy" if settings.deploy.approve == "always" else ""
            yield f"deploy: what is approved, {how}{waits}"

    def _asked(self, state: State, ask: Ask, stop: threading.Event) -> Iterator[Draft]:
        """Yield a review mail with the diff of exactly that range, and the event that it was sent."""
        sprint = state.sprint
        assert sprint is not None  # noqa: S101 - see `tell`
        attached, notes = made_before(self.context, ask, stop, self._left(state))
        subject, body = mail_about(self.context, ask, notes)
        payload = {"sprint": sprint.number, "from": ask.start, "to": ask.tip, "authors": [*ask.authors]}
        yield self._letter(
            [ask.reviewer], subject, [*body, "", *report_form(self.context.settings, ask.reviewer)], "review", payload,
            f"review {sprint.number} {ask.reviewer} {ask.tip}", attached, ask.reviewer,
        )  # fmt: skip
        data = {"sprint": sprint.number, "persona": ask.reviewer, "start": ask.start, "tip": ask.tip}
        own = derived_id(Kind.REVIEW_ASKED, str(sprint.number), ask.reviewer, ask.tip)
        yield Draft(Kind.REVIEW_ASKED, SUPERVISOR, data=data, id=own)
        self.listener(Progress(f"review: {ask.reviewer} of {ask.start[:_SHORT]}..{ask.tip[:_SHORT]}"))

    def _answered(self, state: State, answer: Answer) -> Iterator[Draft]:
        """Yield the mail to the authors of what a report blocks, which wakes them, and the event that it was sent."""
        report, verdict, sprint = answer.report, answer.verdict, state.number
        settings = self.context.settings
        data = {"sprint": sprint, "persona": report.persona, "gate": verdict.gate, "commit": report.commit}
        own = derived_id(Kind.REVIEW_TOLD, str(sprint), verdict.gate, report.commit)
        told = Draft(Kind.REVIEW_TOLD, SUPERVISOR, ref=report.run, data=data, id=own)
        if answer.is_known:
            yield told
            return
        to = [*answer.authors] or self._others_to_tell(state, report)
        issues = [f"- {text}" for text in _texts(report.values.get("issues"))]
        wishes = [f"- {text}" for text in _texts(report.values.get("suggestions"))]
        body = [
            f"{verdict.says}: {verdict.why}.",
            f"It is about {report.commit[:_SHORT]}, by {report.persona} (run {report.run}).",
            *(["", "Issues:", *issues] if issues else []),
            *(["", "Suggestions:", *wishes] if wishes else []),
            "",
            "Mend it, and end your run: what lands then is reported on anew.",
        ]
        kind = "veto" if settings.gates[verdict.gate].veto else "feedback"
        payload = {"gate": verdict.gate, "commit": report.commit, "report": report.run}
        yield self._letter(
            to, f"{verdict.says}: {verdict.why}", body, kind, payload,
            f"blocks {sprint} {verdict.gate} {report.commit}", [], report.persona,
        )  # fmt: skip
        yield told
        self.listener(Progress(f"{verdict.says} ({verdict.why}): {', '.join(to)} {_were(to)} told"))

    def _unheard(self, state: State, report: Report) -> Iterator[Draft]:
        """Yield the mail to the human about a veto that no gate is for, and the event that it was sent."""
        human, sprint = self.context.settings.team.human, state.number
        body = [
            f"{report.persona} vetoes {report.commit[:_SHORT]} (run {report.run}), and no gate is for its veto.",
            *(f"- {text}" for text in _texts(report.values.get("veto_reason"))),
            *(f"- {text}" for text in _texts(report.values.get("issues"))),
            "",
            "Nothing is blocked by it. To have it block, write into team.toml:",
            "",
            f"    [gates.{report.persona}]",
            f'    report = "{report.persona}"',
            "    veto = true",
        ]
        payload = {"commit": report.commit, "report": report.run}
        yield self._letter(
            [human], f"{report.persona} vetoes, and no gate is for it", body, "escalate", payload,
            f"veto {sprint} {report.persona} {report.commit}", [], report.persona,
        )  # fmt: skip
        data = {"sprint": sprint, "persona": report.persona, "gate": NO_GATE, "commit": report.commit}
        own = derived_id(Kind.REVIEW_TOLD, str(sprint), NO_GATE, report.commit)
        yield Draft(Kind.REVIEW_TOLD, SUPERVISOR, ref=report.run, data=data, id=own)

    def _others_to_tell(self, state: State, report: Report) -> list[str]:
        """Return who wrote what the round before landed, else whose work is reviewed, else the human. Raises GitError.

        Those who have left the team are not told.
        """
        starts = [each.start for each in state.asked if (each.reviewer, each.tip) == (report.persona, report.commit)]
        log = ("log", "--reverse", "--format=%an")
        names = self.context.git.line(*log, f"{starts[-1]}..{report.commit}").splitlines() if starts else []
        here = {member.id for member in self.context.members} - {report.persona}
        authors = [name for name in dict.fromkeys(names) if name in here]
        members = self.context.settings.reporters.get(report.persona, frozenset()) - {report.persona}
        return authors or sorted(members) or [self.context.settings.team.human]

    def _letter(  # noqa: PLR0917 - a mail with all its parts
        self, to: Sequence[str], subject: str, body: Sequence[str], kind: str, payload: Mapping[str, object], key: str,
        attached: Sequence[tuple[str, bytes]], reviewer: str,
    ) -> Draft:  # fmt: skip
        letter = Letter(
            SUPERVISOR, to, subject[:200], "\n".join(body), type=kind, payload=payload, priority="high",
            attachments=[*attached], key=key, channel=self._channel(reviewer),
        )  # fmt: skip
        return letter.draft(self.context.mailbox.directory, self.context.mailbox.blobs)

    def _channel(self, reviewer: str) -> str | None:
        """Return the channel of the first team that somebody reviews, or is a member of."""
        teams = self.context.settings.teams.values()
        known = self.context.mailbox.directory.channels
        own = [team.channel for team in teams if reviewer in (*team.reviewers, *team.members) and team.channel]
        return next((name for name in own if name in known), None)


def _answers(state: State, commit: str) -> Iterator[Report]:
    """Yield the reports but for those on the commit whose persona was asked about it only after it gave them."""
    asked = {each.reviewer: each.seq for each in state.asked if each.tip == commit}
    return (report for report in state.reports if report.commit != commit or report.seq > asked.get(report.persona, 0))


def _texts(value: object) -> list[str]:
    items = value if isinstance(value, list) else [value]  # pyright: ignore[reportUnknownVariableType]
    return [" ".join(item.split())[:500] for item in items if isinstance(item, str) and item.strip()][:20]  # pyright: ignore[reportUnknownVariableType]


def _were(names: Sequence[str]) -> str:
    return "were" if len(names) > 1 else "was"
