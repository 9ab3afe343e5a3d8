"""The wheel that users install, built for real: all of the package, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("mail", "personas", "scheduler", "team")
IGNORED = (
    ".venv",
    ".git",
    ".team",
    "build",
    "dist",
    "*.egg-info",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
    ".coverage*",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel from a copy of the sources, as a build writes beside what it builds."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "sources", ignore=shutil.ignore_patterns(*IGNORED))
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, "."],
        cwd=folder / "sources",
        check=True,
    )
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_wheel_holds_the_whole_package(wheel):
    """Whoever installs it gets every module, the compiled SQL and the mark that says it is typed."""
    modules = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts]
    data = [*(ROOT / "mail" / "query" / "sql").rglob("*.sql"), *(ROOT / "personas" / "library").glob("*.md")]
    data += [*(ROOT / "team").glob("*.toml"), *(ROOT / "team").rglob("*.txt")]
    data += [*(ROOT / "team" / "dispatch_templates").glob("*.json"), *(ROOT / "personas" / "workers").glob("*.md")]
    files = [ROOT / "__init__.py", ROOT / "__init__.pyi", ROOT / "py.typed", *modules, *data]

    wanted = {f"team_mail/{path.relative_to(ROOT).as_posix()}" for path in files}
    assert {"team_mail/mail/query/sql/duckdb/inbox.sql", "team_mail/personas/library/scribe.md"} <= wanted
    assert not wanted - set(wheel.namelist())


def test_wheel_holds_nothing_else(wheel):
    """No test, benchmark or stray file comes along: only the package, its licence and its metadata."""
    folders = {name.split("/")[0] for name in wheel.namelist()}
    inside = {"/".join(name.split("/")[1:2]) for name in wheel.namelist() if name.startswith("team_mail/")}

    assert sorted(name.partition("-")[0] for name in folders) == ["team_mail", "team_mail"]
    assert all(name == "team_mail" or name.endswith(".dist-info") for name in folders)
    assert inside == {"__init__.py", "__init__.pyi", "py.typed", *FOLDERS}


def test_wheel_starts_the_command(wheel):
    """The metadata names the command that users type."""
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "team-mail = team_mail.mail.commands.cli:main" in wheel.read(name).decode()
