"""The wheel that users install and the sdist that packagers take, built for real: all that each needs, and no more."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("mail", "personas", "scheduler", "team")
IGNORED = (
    ".agents",
    ".browser",
    ".venv*",
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
OF_GIT = {".gitignore", ".github"}  # what only a checkout has


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build both from a copy of the sources, as a build writes beside what it builds; keep what the build said."""
    folder = tmp_path_factory.mktemp("built")
    shutil.copytree(ROOT, folder / "sources", ignore=shutil.ignore_patterns(*IGNORED))
    code = "from setuptools import build_meta as b; print(b.build_sdist('..'), b.build_wheel('..'))"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder / "sources", env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    (folder / "said").write_text(ended.stdout + ended.stderr)
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    """The wheel, opened."""
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_build_warns_of_nothing(built):
    """A file that MANIFEST.in names and nobody has, or data that will not be packed, shows here first."""
    assert [line for line in (built / "said").read_text().splitlines() if "warning" in line.lower()] == []


def test_the_sdist_holds_what_a_packager_needs(built):
    """Tests, documents, examples, the Makefile and its pins: all of a checkout but what is for git alone."""
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        held = {name.partition("/")[2] for name in archive.getnames() if archive.getmember(name).isfile()}
    files = {
        path.relative_to(built / "sources")
        for path in (built / "sources").rglob("*")
        if path.is_file() and not path.name.endswith(".pyc") and "team_mail.egg-info" not in path.parts
    }
    wanted = {str(path) for path in files if path.parts[0] not in OF_GIT | {"build"}}
    assert {"docs/tutorial.md", "tests/test_wheel.py", "CHANGELOG.md", "Makefile", "constraints.txt"} <= wanted
    assert wanted - held == set()


def test_the_wheel_runs_where_there_is_no_checkout(built, tmp_path):
    """Installed into a fresh environment, with the dependencies of this one, it shows a team at work."""
    venv.create(tmp_path / "fresh", symlinks=True)
    python = tmp_path / "fresh" / "bin" / "python"
    (wheel,) = built.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(pip, cwd=tmp_path, check=True)
    (site,) = (tmp_path / "fresh" / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV", "TEAM"))}

    where = subprocess.run(
        [python, "-c", "import team_mail; print(team_mail.__file__)"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    shown = subprocess.run(
        [python.with_name("team"), "demo", "--quick", tmp_path / "demo"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip

    assert Path(where.strip()).is_relative_to(tmp_path / "fresh")
    assert "3 ticks, 11 runs, 3 conflicts, 7 authors" in shown
    assert "Sprint 1 converged, 7 landed" in shown


def test_wheel_holds_the_whole_package(wheel):
    """Whoever installs it gets every module, the compiled SQL and the mark that says it is typed."""
    modules = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts]
    data = [*(ROOT / "mail" / "query" / "sql").rglob("*.sql"), *(ROOT / "personas" / "library").glob("*.md")]
    data += [*(ROOT / "personas" / "agents" / "presets").glob("*.toml")]
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
    assert "team-mail = team_mail.mail.commands.entry:main" in wheel.read(name).decode()
