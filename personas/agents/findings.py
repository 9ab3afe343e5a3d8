"""What can be seen in source files without a model: lines that a trace names, and habits that often are the cause."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ...mail.render import line
from ...mail.units import counted

SEVERITIES = ("low", "medium", "high", "critical")
_TRACED = re.compile(r'File "([^"\n]{1,300})", line (\d{1,7})|([\w./-]{1,120}\.\w{1,8}):(\d{1,7})')
_TRACES = 20  # that are looked at, and of each
_LONGEST = 20_000  # characters


class Finding(NamedTuple):
    """What is wrong with a line; `number` 0 is the file as such."""

    file: str
    number: int
    text: str
    fix: str = ""
    severity: str = "low"

    def document(self) -> dict[str, Any]:
        """Return it as a result shows it."""
        return {"file": line(self.file), "line": self.number, "text": line(self.text)}


class _Habit(NamedTuple):
    pattern: re.Pattern[str]
    text: str
    fix: str
    severity: str


_HABITS = (
    _Habit(re.compile(r"\b(eval|exec)\("), "runs text as code", "parse the text instead", "critical"),
    _Habit(re.compile(r"\bshell ?= ?True\b"), "hands text to a shell", "pass the words as a list", "high"),
    _Habit(re.compile(r"^\s*except\s*:"), "catches everything, even an interrupt", "name what it expects", "high"),
    _Habit(re.compile(r"^\s*except (Base)?Exception\b"), "catches nearly everything", "name what it expects", "medium"),
    _Habit(re.compile(r"^\s*def .*= ?(\[\]|\{\})"), "shares one default between calls", "default to None", "medium"),
    _Habit(re.compile(r"\bsleep\("), "waits for a fixed time", "wait for the thing itself", "medium"),
    _Habit(re.compile(r"[!=]= ?None\b"), "compares with None by value", "use `is`", "low"),
    _Habit(re.compile(r"\b(TODO|FIXME|XXX)\b"), "is marked as unfinished", "finish it, or say what is missing", "low"),
)


def findings(files: Mapping[str, str], traces: Sequence[str]) -> list[Finding]:
    """Go through the text of files: what a trace ends in comes first, then the gravest. Each file has one at least."""
    named = _named(traces)
    first: list[Finding] = []
    rest: list[Finding] = []
    for file, text in files.items():
        rows = text.splitlines()
        lines = [number for path, number in named if 0 < number <= len(rows) and _same(path, file)]
        first += [_traced(file, number, rows[number - 1]) for number in lines]
        own = [*_habits(file, rows, {*lines})]
        nothing = Finding(file, min(1, len(rows)), f"nothing stands out in {counted(len(rows), 'line')}")
        rest += own or ([] if lines else [nothing])
    return first + sorted(rest, key=lambda one: -SEVERITIES.index(one.severity))


def _named(traces: Sequence[str]) -> list[tuple[str, int]]:
    """Return the files and lines that traces name, each once, the last first: that is where it went wrong."""
    found = [
        (file or other, int(number or more))
        for trace in traces[-_TRACES:]
        for file, number, other, more in _TRACED.findall(trace[-_LONGEST:])
    ]
    return [*dict.fromkeys(reversed(found))]


def _traced(file: str, number: int, row: str) -> Finding:
    """Say of a line that a trace names what it is, and what is known against it."""
    text, habit = f"is where a trace ends: {row.strip()[:120]}", next(_against(row), None)
    if habit is None:
        return Finding(file, number, text, severity="high")
    return Finding(file, number, f"{text} ({habit.text})", habit.fix, "high")


def _habits(file: str, rows: Sequence[str], but: set[int]) -> Iterator[Finding]:
    for number, row in enumerate(rows, 1):
        if number not in but:
            for habit in _against(row):
                yield Finding(file, number, habit.text, habit.fix, habit.severity)


def _against(row: str) -> Iterator[_Habit]:
    return (habit for habit in _HABITS if habit.pattern.search(row[:400]))


def _same(path: str, file: str) -> bool:
    """Say whether a trace's path, as long as it was on another machine, is that file."""
    return path == file or path.endswith(f"/{file}") or file.endswith(f"/{path}")
