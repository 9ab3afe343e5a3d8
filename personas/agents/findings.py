"""Findings in source files without a model: lines that a traceback names, and patterns that often cause bugs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ...mail.render import line
from ...mail.text.units import counted

SEVERITIES = ("low", "medium", "high", "critical")
_TRACED = re.compile(r'File "([^"\n]{1,300})", line (\d{1,7})|([\w./-]{1,120}\.\w{1,8}):(\d{1,7})')
_MAX_TRACES = 20
_MAX_TRACE = 20_000  # characters of each trace


class Finding(NamedTuple):
    """What is wrong with a line of a file; `number` 0 means the file as a whole."""

    file: str
    number: int
    text: str
    fix: str = ""
    severity: str = "low"

    def document(self) -> dict[str, Any]:
        """Return the finding as a JSON object for the result."""
        return {"file": line(self.file), "line": self.number, "text": line(self.text)}


class _Pattern(NamedTuple):
    regex: re.Pattern[str]
    text: str
    fix: str
    severity: str


_PATTERNS = (
    _Pattern(re.compile(r"\b(eval|exec)\("), "runs text as code", "parse the text instead", "critical"),
    _Pattern(re.compile(r"\bshell ?= ?True\b"), "passes text to a shell", "pass the arguments as a list", "high"),
    _Pattern(
        re.compile(r"^\s*except\s*:"),
        "catches everything, even KeyboardInterrupt",
        "name the exceptions it expects",
        "high",
    ),
    _Pattern(
        re.compile(r"^\s*except (Base)?Exception\b"),
        "catches nearly everything",
        "name the exceptions it expects",
        "medium",
    ),
    _Pattern(
        re.compile(r"^\s*def .*= ?(\[\]|\{\})"), "shares a mutable default between calls", "default to None", "medium"
    ),
    _Pattern(re.compile(r"\bsleep\("), "waits for a fixed time", "wait for the event itself", "medium"),
    _Pattern(re.compile(r"[!=]= ?None\b"), "compares with None by value", "use `is`", "low"),
    _Pattern(
        re.compile(r"\b(TODO|FIXME|XXX)\b"), "is marked as unfinished", "finish it, or document what is missing", "low"
    ),
)


def findings(files: Mapping[str, str], traces: Sequence[str]) -> list[Finding]:
    """Return the findings in `files`, a text for each path: lines named in a trace first, then by severity.

    Every file has at least one. `traces` are texts that contain tracebacks.
    """
    named = _named(traces)
    first: list[Finding] = []
    rest: list[Finding] = []
    for file, text in files.items():
        rows = text.splitlines()
        lines = [number for path, number in named if 0 < number <= len(rows) and _same(path, file)]
        first += [_traced(file, number, rows[number - 1]) for number in lines]
        matches = [*_matches(file, rows, {*lines})]
        nothing = Finding(file, min(1, len(rows)), f"nothing stands out in {counted(len(rows), 'line')}")
        rest += matches or ([] if lines else [nothing])
    return first + sorted(rest, key=lambda finding: -SEVERITIES.index(finding.severity))


def _named(traces: Sequence[str]) -> list[tuple[str, int]]:
    """Return the files and lines that traces name, each once, the last first, where the error was raised."""
    places = [
        (file or path, int(number or row))
        for trace in traces[-_MAX_TRACES:]
        for file, number, path, row in _TRACED.findall(trace[-_MAX_TRACE:])
    ]
    return [*dict.fromkeys(reversed(places))]


def _traced(file: str, number: int, row: str) -> Finding:
    """Return the finding for a line that a trace names, with the first pattern that it matches."""
    text, pattern = f"is where a trace ends: {row.strip()[:120]}", next(_patterns_in(row), None)
    if pattern is None:
        return Finding(file, number, text, severity="high")
    return Finding(file, number, f"{text} ({pattern.text})", pattern.fix, "high")


def _matches(file: str, rows: Sequence[str], ignored: set[int]) -> Iterator[Finding]:
    for number, row in enumerate(rows, 1):
        if number not in ignored:
            for pattern in _patterns_in(row):
                yield Finding(file, number, pattern.text, pattern.fix, pattern.severity)


def _patterns_in(row: str) -> Iterator[_Pattern]:
    return (pattern for pattern in _PATTERNS if pattern.regex.search(row[:400]))


def _same(path: str, file: str) -> bool:
    """Return whether a path in a trace, which may come from another machine, names that file."""
    return path == file or path.endswith(f"/{file}") or file.endswith(f"/{path}")
