"""The bundled scripted agent: plays any task in process, without a model, and always with the same result.

`coder` writes a skeleton of the module asked for, `debug` reads the files and reports what it finds in them, and every
other persona answers; it writes nothing but the `output_path` of its task, where there is no such file yet. So a
dispatch can be tried and tested before it costs anything.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from ...mail.log.disk import open_file
from ...mail.render import line
from ...mail.text.units import counted
from ..agent import Job
from ..spending.usage import NO_MODEL
from .findings import SEVERITIES, Finding, findings
from .scripted import ScriptedAgent
from .specimen import specimen

MAX_FILE = 256 << 10  # bytes; a larger file is not read
MAX_FILES = 50
_DEPTHS = {"quick": 3, "standard": 10, "deep": 50}  # findings
_MAX_QUOTE = 300  # characters of the input that are repeated in the output


def bundled_agent() -> ScriptedAgent:
    """Return the agent that plays every persona without a model."""
    return ScriptedAgent({"coder": _coder, "debug": _debug}, default=_any_persona, usage=NO_MODEL)


def within(workspace: Path, path: str) -> Path:
    """Resolve a path that a task names. Raises ValueError if it lies outside the workspace, in `.git` or in `.team`."""
    top = workspace.resolve()
    try:
        place = (top / path).resolve()
        steps = place.relative_to(top).parts
    except (OSError, RuntimeError, ValueError):
        steps, place = (), top
    if Path(path).is_absolute() or not steps or steps[0].lower() in {".git", ".team"}:
        raise ValueError(f"{_short(path) or 'no path'} is not in the repository; give a path relative to its top")
    return place


def _coder(job: Job) -> dict[str, Any]:
    values = _input(job)
    path, kind = _text(values, "output_path"), _text(values, "node_type") or "Compute"
    level = _text(values, "validation_level") or "moderate"
    common = {"node_type": kind, "validation_level": level}
    text = specimen(path, kind, _text(values, "contract_description"))
    if problem := _write(job.workspace, path, text):
        return {"generated_file": None, "validation_passed": False, **common, "lines": 0, "problem": problem}
    valid = _parses(job.workspace / path, text)
    return {"generated_file": path, "validation_passed": valid, **common, "lines": text.count("\n")}


def _write(workspace: Path, path: str, text: str) -> str:
    """Write a file into the workspace; return why it cannot be written, or nothing."""
    try:
        place = within(workspace, path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        return f"{_short(path)}: {error.strerror}" if isinstance(error, OSError) else str(error)
    return ""


def _parses(place: Path, text: str) -> bool:
    try:
        return not place.name.endswith(".py") or bool(ast.parse(text))
    except (SyntaxError, ValueError):
        return False


def _debug(job: Job) -> dict[str, Any]:
    values = _input(job)
    names = _texts(values.get("affected_files"))[:MAX_FILES]
    files: dict[str, str] = {}
    missing: list[Finding] = []
    for name in names:
        try:
            files[name] = _read(within(job.workspace, name))
        except ValueError as error:
            missing.append(Finding(name, 0, str(error)))
    seen = findings(files, _texts(values.get("error_traces")))
    shown = [*seen, *missing][: _DEPTHS.get(_text(values, "analysis_depth"), _DEPTHS["standard"])]
    worst = seen[0] if seen and seen[0].severity != SEVERITIES[0] else None
    return {
        "root_cause": _cause(worst, len(files), len(names)),
        "findings": [finding.document() for finding in shown],
        "suggested_fix": _fix(worst),
        "severity": worst.severity if worst else SEVERITIES[0],
        "complies": not (worst or missing),
    }


def _cause(worst: Finding | None, read: int, asked: int) -> str:
    if worst:
        return line(f"{worst.file}:{worst.number} {worst.text}")
    return f"not found by reading alone: {read} of {counted(asked, 'affected file')} could be read"


def _fix(worst: Finding | None) -> str:
    if worst is None:
        return "reproduce the problem with a test first"
    return line(f"{worst.file}:{worst.number}: {worst.fix or 'write a test that fails at this line, then fix it'}")


def _read(place: Path) -> str:
    """Return the text of a file. Raises ValueError if it is missing, unreadable or too large."""
    try:
        if not place.is_file():
            raise ValueError("is not in this commit")
        with open_file(place, follow=True) as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if len(data) > MAX_FILE:
        raise ValueError(f"is over {MAX_FILE >> 10} KiB and was not read")
    return data.decode(errors="replace")


def _any_persona(job: Job) -> dict[str, Any]:
    wanted = _short(job.assignment.description).rstrip(".") if job.assignment else ""
    names = dict.fromkeys(_strings(_input(job)))
    existing = [line(name) for name in names if _is_file(job.workspace, name)]
    did = _made(job, _text(_input(job), "output_path"))
    return {
        "summary": f"{job.persona} was asked for: {wanted or 'nothing in words'}. {did}",
        "files": existing[:MAX_FILES],
    }


def _made(job: Job, path: str) -> str:
    """Make the file that a task of any persona declares as its output; say what was done."""
    if not path or _is_file(job.workspace, path):
        return "Nothing was changed."
    description = job.assignment.description if job.assignment else ""
    problem = _write(job.workspace, path, specimen(path, "", description))
    return f"Nothing was changed: {problem}." if problem else f"{_short(path)} was written without a model."


def _is_file(workspace: Path, name: str) -> bool:
    try:
        return within(workspace, name).is_file()
    except (OSError, ValueError):  # a long sentence is not a valid file name
        return False


def _strings(value: Any) -> Iterator[str]:
    """Yield all strings of an input that are short enough to be paths."""
    if isinstance(value, str) and 0 < len(value) <= _MAX_QUOTE:
        yield value
    elif isinstance(value, Mapping):
        for inner in cast("Mapping[str, Any]", value).values():
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in cast("list[Any]", value):
            yield from _strings(inner)


def _input(job: Job) -> Mapping[str, Any]:
    return job.assignment.input if job.assignment else {}


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> list[str]:
    items = cast("list[Any]", value) if isinstance(value, list | tuple) else []
    return [item for item in items if isinstance(item, str)]


def _short(text: str) -> str:
    return line(" ".join(text.split()))[:_MAX_QUOTE]
