"""The pre-commit hook that keeps a person's commits off what others have claimed: what is staged, and its script."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ...mail.errors import UsageError

_STAGED = ("diff", "--cached", "--name-only", "-z", "--no-renames", "--no-ext-diff")
_SCRIPT = """\
#!/bin/sh
# Refuses to commit files that somebody else has claimed. `git commit --no-verify` commits them all the same.
test -x "{command}" || exit 0
exec "{command}" hook
"""


def staged(folder: Path) -> list[bytes]:
    """Return the paths that the next commit of a checkout changes, from its top, whatever index git names in a hook.

    Raises UsageError outside of a repository.
    """
    return [path for path in _git(folder, *_STAGED).split(b"\0") if path]


def install(folder: Path) -> tuple[Path, bool]:
    """Write the hook of the repository around a folder; return its path, and whether it is new.

    Raises UsageError if there is another hook, which is left as it is.
    """
    path, text = _hook(folder)
    if path.exists():
        if path.read_text(errors="replace") == text:
            return path, False
        raise UsageError(f"there is a hook {path} already; add the line `team hook || exit 1` to it")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path, True


def uninstall(folder: Path) -> tuple[Path, bool]:
    """Remove the hook of the repository around a folder, if it is ours; return its path, and whether it was there."""
    path, text = _hook(folder)
    if not path.exists() or path.read_text(errors="replace") != text:
        return path, False
    path.unlink()
    return path, True


def top(folder: Path) -> Path:
    """Return the top of the checkout around a folder. Raises UsageError outside of a repository."""
    return Path(os.fsdecode(_git(folder, "rev-parse", "--show-toplevel").rstrip(b"\n")))


def _hook(folder: Path) -> tuple[Path, str]:
    """Return where the hook of a repository is, and what it says."""
    hooks = folder / os.fsdecode(_git(folder, "rev-parse", "--git-path", "hooks")).strip()
    return hooks / "pre-commit", _SCRIPT.format(command=Path(sys.executable).with_name("team"))


def _git(folder: Path, *words: str) -> bytes:
    """Run the user's own git as it is, in the environment in which git itself calls a hook."""
    try:
        ended = subprocess.run(["git", *words], cwd=folder, check=False, capture_output=True)  # noqa: S603, S607
    except FileNotFoundError:
        raise UsageError("there is no git; install it") from None
    if ended.returncode:
        raise UsageError(f"git {words[0]}: {ended.stderr.decode(errors='replace').strip()}")
    return ended.stdout
