"""What can be seen of an agent on this machine without running it: whether it is there, its version, its login."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from ....mail.log.disk import read_file, replacing
from ...environment import harmless
from .preset import Preset

_NUMBER = re.compile(r"\d+(?:\.\d+)+")
_PATIENCE = 20.0  # seconds for a program to tell its version
_MOST_ABOVE = 6  # folders between a program and its package
_MAX_CACHE = 1 << 20  # bytes


def path_of(preset: Preset, environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the path of the program of an agent, or None if it is not in PATH."""
    return shutil.which(preset.program, path=environ.get("PATH", os.defpath))


def version_of(preset: Preset, program: str, cache: Path | None = None) -> str:
    """Return the version of an installed program, or "" if it does not tell one.

    That of an npm or Python package stands in a file. Else the program is asked, once for each state of its file:
    the answers are kept in the file `cache`. One of another name, such as a user's own script, is never started: nobody
    knows what it would do.
    """
    if number := _packaged(preset.package, Path(program)):
        return number
    if Path(program).name != preset.program:
        return ""
    try:
        real = Path(program).resolve(strict=True)
        state = real.stat()
    except OSError:
        return ""
    key = f"{real}\n{state.st_mtime_ns}\n{state.st_size}"
    known = _cached(cache)
    if key not in known:
        current = {name: version for name, version in known.items() if not name.startswith(f"{real}\n")}
        known = current | {key: _asked(program)}
        _keep(cache, known)
    return known[key]


def older(version: str, than: str) -> bool:
    """Tell whether a version is older than another one; one that is not known is not."""
    ours, theirs = _numbers(version), _numbers(than)
    return bool(ours and theirs) and ours < theirs


def _numbers(text: str) -> list[int]:
    match = _NUMBER.search(text)
    return [int(part) for part in match[0].split(".")] if match else []


def has_login(preset: Preset, names: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Tell whether a key or a login of an agent is there that reaches it.

    `names` are the variables that it gets, and `environ` has their values. On macOS logins are no files, so that
    nothing can be seen of one there.
    """
    if any(environ.get(name) for name in preset.login.variables if name in names) or sys.platform == "darwin":
        return True
    home = environ.get("HOME") or str(Path.home())
    return any(_exists(file, home, names, environ) for file in preset.login.files)


def _exists(file: str, home: str, names: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Tell whether a file of a login is there; one below a variable that does not reach the agent is not."""
    if not file.startswith("$"):
        return Path(home, file).exists()
    variable, _, rest = file[1:].partition("/")
    return variable in names and bool(environ.get(variable)) and Path(environ[variable], rest).exists()


def _packaged(package: str, program: Path) -> str:
    """Return the version that the package of a program names: in `package.json`, or in the name of its metadata."""
    if not package:
        return ""
    with suppress(OSError):
        files = (folder / "package.json" for folder in [*program.resolve(strict=True).parents][:_MOST_ABOVE])
        about = next((_object(read_file(file)) for file in files if file.is_file()), dict[str, Any]())
        if about.get("name") == package:
            return str(about.get("version", ""))
    distribution = package.replace("-", "_")
    for folder in (program.parent.parent, program.resolve().parent.parent):
        for metadata in folder.glob(f"lib/python3*/site-packages/{distribution}-*.dist-info"):
            return metadata.name.removeprefix(f"{distribution}-").removesuffix(".dist-info")
    return ""


def _asked(program: str) -> str:
    """Ask a program for its version; it sees the harmless part of the environment, and an empty folder."""
    with tempfile.TemporaryDirectory() as folder, suppress(OSError, subprocess.TimeoutExpired):
        ended = subprocess.run(  # noqa: S603 - a program of the user's PATH
            [program, "--version"], cwd=folder, env=harmless(), stdin=subprocess.DEVNULL, capture_output=True,
            check=False, timeout=_PATIENCE,
        )  # fmt: skip
        match = _NUMBER.search(ended.stdout.decode(errors="replace"))
        return match[0] if match and ended.returncode == 0 else ""
    return ""


def _cached(cache: Path | None) -> dict[str, str]:
    with suppress(OSError):
        if cache and cache.stat().st_size < _MAX_CACHE:
            return {key: version for key, version in _object(read_file(cache)).items() if isinstance(version, str)}
    return {}


def _keep(cache: Path | None, known: Mapping[str, str]) -> None:
    """Write what is known; where that cannot be, the program is asked again the next time."""
    with suppress(OSError):
        if cache:
            cache.parent.mkdir(parents=True, exist_ok=True)
            with replacing(cache, durable=False) as scratch:
                scratch.write_text(json.dumps(known))


def _object(data: bytes) -> dict[str, Any]:
    try:
        value: Any = json.loads(data)
    except ValueError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
