"""The bundled scripted agent: it plays any task in process, without a model, and always in the same way.

`coder` writes a skeleton of what was asked for, `debug` reads the files and says what can be seen, everybody else
answers and changes nothing. So a dispatch can be tried, shown and tested before it costs anything.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from ...mail.render import line
from ...mail.units import counted
from ..agent import Job
from .findings import SEVERITIES, Finding, findings
from .scripted import ScriptedAgent
from .specimen import specimen

MAX_FILE = 256 << 10  # bytes of a file that is read
MAX_FILES = 50
_DEPTHS = {"quick": 3, "standard": 10, "deep": 50}  # findings
_LONGEST = 300  # characters of what is repeated


def bundled_agent() -> ScriptedAgent:
    """Return the agent that plays every persona without a model."""
    return ScriptedAgent({"coder": _coder, "debug": _debug}, default=_anybody)


def within(workspace: Path, told: str) -> Path:
    """Return the place of a path that a task names. Raises ValueError for one that is not in the workspace."""
    top = workspace.resolve()
    try:
        place = (top / told).resolve()
        steps = place.relative_to(top).parts
    except (OSError, RuntimeError, ValueError):
        steps, place = (), top
    if Path(told).is_absolute() or not steps or steps[0].lower() in {".git", ".team"}:
        raise ValueError(f"{_short(told) or 'no path'} is not within the repository; name a file from its top")
    return place


def _coder(job: Job) -> dict[str, Any]:
    given = _input(job)
    path, kind = _text(given, "output_path"), _text(given, "node_type") or "Compute"
    level = _text(given, "validation_level") or "moderate"
    told = {"node_type": kind, "validation_level": level}
    text = specimen(path, kind, _text(given, "contract_description"))
    try:
        place = within(job.workspace, path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        why = f"{_short(path)}: {error.strerror}" if isinstance(error, OSError) else str(error)
        return {"generated_file": None, "validation_passed": False, **told, "lines": 0, "problem": why}
    return {"generated_file": path, "validation_passed": _parses(place, text), **told, "lines": text.count("\n")}


def _parses(place: Path, text: str) -> bool:
    try:
        return not place.name.endswith(".py") or bool(ast.parse(text))
    except (SyntaxError, ValueError):
        return False


def _debug(job: Job) -> dict[str, Any]:
    given = _input(job)
    asked = _texts(given.get("affected_files"))[:MAX_FILES]
    files: dict[str, str] = {}
    missing: list[Finding] = []
    for name in asked:
        try:
            files[name] = _read(within(job.workspace, name))
        except ValueError as error:
            missing.append(Finding(name, 0, str(error)))
    found = findings(files, _texts(given.get("error_traces")))
    shown = [*found, *missing][: _DEPTHS.get(_text(given, "analysis_depth"), _DEPTHS["standard"])]
    worst = found[0] if found and found[0].severity != SEVERITIES[0] else None
    return {
        "root_cause": _cause(worst, len(files), len(asked)),
        "findings": [one.document() for one in shown],
        "suggested_fix": _fix(worst),
        "severity": worst.severity if worst else SEVERITIES[0],
    }


def _cause(worst: Finding | None, read: int, asked: int) -> str:
    if worst:
        return line(f"{worst.file}:{worst.number} {worst.text}")
    return f"not found by reading alone: {read} of {counted(asked, 'affected file')} could be read"


def _fix(worst: Finding | None) -> str:
    if worst is None:
        return "reproduce the problem with a test first"
    return line(f"{worst.file}:{worst.number}: {worst.fix or 'write a test that fails at this line, then mend it'}")


def _read(place: Path) -> str:
    """Read the text of a file. Raises ValueError for what is no source file of this commit."""
    try:
        if not place.is_file():
            raise ValueError("is not in this commit")
        with place.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if len(data) > MAX_FILE:
        raise ValueError(f"is over {MAX_FILE >> 10} KiB, and was not read")
    return data.decode(errors="replace")


def _anybody(job: Job) -> dict[str, Any]:
    wanted = _short(job.assignment.description).rstrip(".") if job.assignment else ""
    names = dict.fromkeys(_strings(_input(job)))
    there = [line(name) for name in names if _is_file(job.workspace, name)]
    return {
        "summary": f"{job.persona} was asked for: {wanted or 'nothing in words'}. Nothing was changed.",
        "files": there[:MAX_FILES],
    }


def _is_file(workspace: Path, name: str) -> bool:
    try:
        return within(workspace, name).is_file()
    except (OSError, ValueError):  # a sentence is too long for a name
        return False


def _strings(value: Any) -> Iterator[str]:
    """Go through the texts of an input that could be paths."""
    if isinstance(value, str) and 0 < len(value) <= _LONGEST:
        yield value
    elif isinstance(value, Mapping):
        for inner in cast("Mapping[str, Any]", value).values():
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in cast("list[Any]", value):
            yield from _strings(inner)


def _input(job: Job) -> Mapping[str, Any]:
    return job.assignment.input if job.assignment else {}


def _text(given: Mapping[str, Any], key: str) -> str:
    value = given.get(key)
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> list[str]:
    return [one for one in cast("list[Any]", value) if isinstance(one, str)] if isinstance(value, list | tuple) else []


def _short(text: str) -> str:
    return line(" ".join(text.split()))[:_LONGEST]
