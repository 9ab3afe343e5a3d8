"""team-mail: sprints and mail for teams of AI coding agents.

The public API is what `__init__.pyi` imports, one name a line. Type checkers read that file; so does this module, on
the first use of a name (PEP 562), so that `import team_mail` loads nothing.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as typing's: `import team_mail` loads nothing, and `team-mail check` waits for nothing
if TYPE_CHECKING:
    from typing import Any

if sys.platform == "win32":  # before a module fails at `import fcntl` with a traceback
    raise SystemExit("team-mail does not run on Windows, which has no flock; use it on Linux, or in WSL")


_homes: dict[str, str] = {}  # of each public name, the module that it lives in


def _found() -> dict[str, str]:
    """Read the homes of the public names, once."""
    if not _homes:
        import re
        from pathlib import Path

        stub = Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")
        _homes.update({name: home for home, name in re.findall(r"^from (\S+) import (\w+) as \2$", stub, re.MULTILINE)})
    return _homes


def __getattr__(name: str) -> Any:
    """Load a public name from the module that it lives in."""
    if name == "__all__":
        return __dir__()
    if name.startswith("_") or name not in _found():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_homes[name], __name__), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(_found())
