"""What is seen of each step of a trial, and how to mend what is not: a pure function of how the run went."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ...mail.render import line
from ...personas.agents.presets.preset import STEPS, Preset
from ...personas.kinds import OutcomeStatus
from ...personas.streams.transcript import Transcript
from .scene import KEPT, NOTE, OTHERS, POEM, TRIED

WHAT = {
    "write": "wrote a file",
    "send": "sent a mail",
    "read": "read a mail",
    "settle": "settled a conflict",
    "end": "ended",
}
_MARK = re.compile(r"^[+ ]?(<{7}|={7}|>{7}|\|{7})", re.MULTILINE)
_LOST = re.compile(r"team-mail: (command )?not found|not found: team-mail|No such file or directory.*team-mail")
_READ_ONLY = re.compile(r"[^\n]*(Read-only file system|Permission denied|Operation not permitted)[^\n]*")
_MOST = 200  # characters of what an agent said
_MOST_DETAIL = 600  # of how its run ended, which has the cause at its end


@dataclass(frozen=True)
class Step:
    """One step of a trial. `repair` says what to do if it was not `seen`; one that is `known` cannot be mended."""

    name: str
    seen: bool
    repair: str = ""
    known: bool = False

    @property
    def what(self) -> str:
        """The step in words."""
        return WHAT[self.name]

    def document(self) -> dict[str, Any]:
        """Return the step as a JSON object."""
        return {"step": self.name, "seen": self.seen, "repair": self.repair or None, "known": self.known}


@dataclass(frozen=True)
class RunFacts:
    """How the run of a trial went.

    `patch` is what it changed, of `files`, `letters` are the bodies of the mails that it sent to `bob`, and `poem` is
    the poem as it landed, empty if nothing did. `said` is its output, read.
    """

    word: str
    status: str
    exit: int | None
    detail: str
    files: Sequence[str]
    patch: str
    letters: Sequence[str]
    poem: str
    said: Transcript


def steps(facts: RunFacts, preset: Preset | None, *, login: bool) -> tuple[Step, ...]:
    """Return what is seen of each step. `login` tells whether a key or a login of the agent was found."""
    return tuple(_step(name, facts, preset, login=login) for name in STEPS)


def _step(name: str, facts: RunFacts, preset: Preset | None, *, login: bool) -> Step:
    if _seen(name, facts):
        return Step(name, seen=True)
    if preset and preset.seen and name in preset.seen.missing:
        return Step(name, seen=False, repair=preset.seen.missing[name], known=True)
    causes = (*_shared(name, facts, preset, login=login), _of_one(name, facts))
    return Step(name, seen=False, repair=causes[0])


def _seen(name: str, facts: RunFacts) -> bool:
    words = {*re.findall(r"\w+", facts.poem)}
    return {
        "write": NOTE in facts.files,
        "send": bool(facts.letters),
        "read": facts.word in "\n".join([facts.patch, *facts.letters]),
        "settle": {TRIED, *OTHERS, *KEPT} <= words and not _MARK.search(facts.poem),
        "end": facts.status == OutcomeStatus.OK or (facts.status == OutcomeStatus.FAILED and facts.exit == 0),
    }[name]


def _shared(name: str, facts: RunFacts, preset: Preset | None, *, login: bool) -> Iterator[str]:
    """Yield the causes that explain any step that is missing, the surest first."""
    said, ended = facts.said, _seen("end", facts)
    if said.denied:
        how = preset.denied.format(tools=said.denied) if preset else "allow that in its command"
        yield f"denied {said.denied}: {how}"
    if facts.status == OutcomeStatus.LIMITED:
        yield f"its service takes no more for now, so try again later: {_short(facts.detail, _MOST_DETAIL)}"
    if preset and not login and not ended:
        yield f"no key and no login was found: {preset.login.how}; it ended with: {_short(facts.detail)}"
    if name == "end":
        return
    if not ended:
        yield f"it did not come so far, or could not: {_short(facts.detail)}"
    outputs = [str(call.output) for call in said.calls]
    if any(_LOST.search(output) for output in outputs):
        yield "its shell did not find team-mail: let it use no login shell, or pass PATH and BASH_ENV on"
    if match := next((match for output in outputs if (match := _READ_ONLY.search(output))), None):
        yield f"refused by its own sandbox ({_short(match[0])}): let it write in its workspace and .team/run"
    if name == "send" and (why := _refused(said)):
        yield f"its call of team-mail failed: {why}"
    if preset and preset.stream == "json" and not said.known:
        yield "it printed no JSON events, so nothing is known of its tools: see that its command asks for them"


def _refused(said: Transcript) -> str:
    """Return what the last call of `team-mail` answered, if that was an error."""
    calls = [call for call in said.calls if "team-mail" in str(call.input)]
    output: Any = calls[-1].output if calls else None
    answer = cast("dict[str, Any]", output) if isinstance(output, dict) else {}
    return _short(str(answer["error"])) if "error" in answer else ""


def _of_one(name: str, facts: RunFacts) -> str:
    """Return the cause of one step that is missing, where nothing else explains it."""
    if name == "end":
        return _unended(facts)
    why = {
        "write": f"it wrote no {NOTE}: see that it may create files",
        "send": "it sent no mail: see that it may run shell commands, such as team-mail",
        "read": "the word in the mail came back nowhere: see that it may read files below .team/run",
        "settle": _unsettled(facts),
    }[name]
    last = _short(facts.said.text)
    return f"{why}; it ended with: {last}" if last else f"{why}; it said nothing"


def _unended(facts: RunFacts) -> str:
    why = _short(facts.detail, _MOST_DETAIL)
    if facts.status == OutcomeStatus.TIMEOUT:
        return f"{why}: see what it waits for (a login, an answer, a model that does not answer)"
    return f"{why}: what it printed says more"


def _unsettled(facts: RunFacts) -> str:
    if "conflict markers" in facts.detail or _MARK.search(facts.patch):
        return f"it left the marks of the conflict in {POEM}: see that it may change files that are there"
    if facts.poem and TRIED in facts.poem:
        return f"what landed of {POEM} has not the words of everybody"
    return f"it did not change {POEM}, which has the conflict: see that it may change files that are there"


def _short(text: str, most: int = _MOST) -> str:
    text = line(" ".join(text.split()))
    return text if len(text) <= most else f"{text[:most]}…"
