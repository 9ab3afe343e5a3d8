"""Where other tools keep their agents in a repository, and how many files there may be some."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ...mail.team_file import PROMPTS, files_below, files_of
from .sheet import FOLDERS

_CREWS = ("agents.yaml", "config/agents.yaml", "src/*/config/agents.yaml")  # where CrewAI keeps them
_PERSONAS = "personas"  # where egregora keeps them, a folder for each


class Found(NamedTuple):
    """A folder or a file of another tool, from the top of the repository, and how many agents may be in it."""

    path: str
    agents: int
    is_folder: bool = True


def found_in(top: Path) -> list[Found]:
    """Return where other tools have agents in the repository at `top`; nothing is read but what CrewAI names."""
    folders = [Found(name, len(files_below(top / name))) for name in FOLDERS if (top / name).is_dir()]
    egregora = [path for name in PROMPTS for path in top.glob(f"{_PERSONAS}/*/{name}")]
    folders += [Found(_PERSONAS, len(egregora))] if egregora else []
    crews = sorted(path for pattern in _CREWS for path in top.glob(pattern) if path.is_file())
    files = [Found(str(path.relative_to(top)), len(files_of(path)), is_folder=False) for path in crews]
    return [each for each in (*folders, *files) if each.agents]
