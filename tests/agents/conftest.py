"""A repository with a team that a real agent plays, and the model that it asks."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .clis import CLIS, FOLDER, INSTALLED, ROOT, Cli
from .model import Model

STREAMS = ROOT / "tests" / "personas" / "streams" / "printed"
WORK = FOLDER / "work"  # not below /tmp, where a sandbox may let an agent write
POEM = "one\ntwo\nthree\n"


class Project:
    """A repository and a team, played by one real agent in an environment of its own."""

    def __init__(self, folder: Path, cli: Cli, model: Model) -> None:
        self.folder = folder / "project"
        self.home = folder / "home"
        self.cli = cli
        self.model = model
        for each in (self.folder, self.home):
            each.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        (self.folder / "poem.txt").write_text(POEM)
        (self.folder / ".team" / "personas").mkdir(parents=True)
        self.listen("ok")

    def listen(self, behaviour: str, url: str = "") -> None:
        """Choose how the model behaves, or give the address of another one."""
        told = self.cli.environment(self.home, url or self.model.url(behaviour))
        path = [str(Path(sys.executable).parent), *map(str, INSTALLED), *os.get_exec_path()]
        self.environ = told | {
            "PATH": os.pathsep.join(path), "HOME": str(self.home), "LANG": "C.UTF-8", "SHELL": "/bin/bash",
            "XDG_STATE_HOME": str(self.home / ".local" / "state"),
        }  # fmt: skip

    def only(self) -> None:
        """Leave no other agent in PATH than this one, with the Node that it may need."""
        folder = self.folder.parent / "bin"
        folder.mkdir()
        for name in (self.cli.preset.program, "node"):
            if found := next((place / name for place in INSTALLED if (place / name).exists()), None):
                (folder / name).symlink_to(found)
        path = [str(Path(sys.executable).parent), str(folder), *os.get_exec_path()]
        self.environ = self.environ | {"PATH": os.pathsep.join(path)}

    def team(self, *personas: str, more: str = "", **agent: object) -> None:
        """Write the settings and the personas, and commit all."""
        section = self.cli.section(**{"timeout": "1m", "max_parallel": 8, **agent})
        (self.folder / ".team" / "team.toml").write_text(f'[team]\nagent = "{self.cli.name}"\n{section}{more}')
        for name in personas:
            (self.folder / ".team" / "personas" / f"{name}.md").write_text(f"---\nid: {name}\n---\nDo your part.\n")
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", "Begin")

    def git(self, *words: str) -> str:
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
        return subprocess.run(
            ["git", *identity, *words], cwd=self.folder, check=True, capture_output=True, text=True
        ).stdout.strip()

    def run(self, command: str, *words: str, timeout: float = 280) -> subprocess.CompletedProcess[str]:
        path = Path(sys.executable).with_name(command)
        return subprocess.run(
            [path, *words], cwd=self.folder, env=self.environ, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False, timeout=timeout,
        )  # fmt: skip

    def program(self, name: str, *words: str) -> str:
        """Run the agent's own program; return what it printed."""
        path = next(folder / name for folder in INSTALLED if (folder / name).exists())
        ended = subprocess.run(
            [path, *words], cwd=self.home, env=self.environ, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
        return ended.stdout + ended.stderr

    def start_once(self) -> None:
        """Let the program lay out its folder: of two first starts that do so at once, one may fail."""
        first = {"opencode": ("session", "list"), "codex": ("app-server",)}
        if words := first.get(self.cli.name):
            self.program(self.cli.name, *words)

    def events(self, *kinds: str) -> list[dict]:
        file = self.folder / ".team" / "mail" / "events.jsonl"
        return [event for event in map(json.loads, file.read_text().splitlines()) if event["kind"] in kinds]

    def dispatch(self, *tasks: dict) -> tuple[int, dict]:
        """Dispatch tasks; return the exit code and the result."""
        (self.folder / "tasks.json").write_text(json.dumps({"tasks": tasks}))
        ended = self.run("team", "dispatch", "tasks.json", "--json")
        assert ended.stdout, ended.stderr
        return ended.returncode, json.loads(ended.stdout)

    def record(self, name: str) -> None:
        """With RECORD=1, keep what the only run printed for the ordinary tests, without the paths of this machine."""
        (log,) = (self.folder / ".team" / "runs").glob("*/output.log")
        if os.environ.get("RECORD"):
            text = log.read_text(errors="replace")
            text = re.sub(r"[\w./-]*/state/team-mail/[\w.-]+/[\w.-]+", "/workspace", text)
            text = re.sub(r"-[\w-]*-state-team-mail-[\w-]+", "-workspace", text)  # as Claude names a folder
            places = {self.folder: "/project", self.home: "/home/ada", FOLDER: "/agents", ROOT: "/sources"}
            for place, shown in places.items():
                text = text.replace(str(place), shown).replace(str(place.resolve()), shown)
            STREAMS.mkdir(exist_ok=True)
            (STREAMS / f"{self.cli.name}.{name}.txt").write_text(text)

    def logs(self) -> str:
        """Return what the agents printed, to be shown when a test fails."""
        files = (self.folder / ".team" / "runs").glob("*/output.log")
        return "\n".join(f"--- {file.parent.name}\n{file.read_text(errors='replace')[-3000:]}" for file in files)


@pytest.fixture
def model() -> Iterator[Model]:
    with Model() as model:
        yield model


@pytest.fixture
def project(cli: str, model: Model, request: pytest.FixtureRequest) -> Iterator[Project]:
    """A project whose personas a real agent plays; `cli` is its name. With KEEP=1 it is left to be looked at."""
    if not any((folder / cli).exists() for folder in INSTALLED):
        pytest.skip(f"{cli} is not installed: make agents")
    WORK.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{cli}-", dir=WORK))
    project = Project(folder, CLIS[cli], model)
    yield project
    print(project.logs())
    if not os.environ.get("KEEP"):
        shutil.rmtree(folder, ignore_errors=True)
