"""The agent that is a command: any program, given the prompt on its standard input, as last argument or as a file."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ...mail.errors import UsageError
from ...mail.home import HUMAN_VARIABLE
from ..agent import Job, Outcome
from ..errors import BadOutput
from ..running.process import RunLimits, keep
from .result import FILE, log_of, output_of
from .stream import read_stream

PLACEHOLDERS = ("persona", "run", "attempt", "sprint", "prompt_file", "workspace")
PASSED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_\w+|TZ|TMPDIR|XDG_\w+|(DY)?LD_LIBRARY_PATH|(?i:(http|https|ftp|all|no)_proxy)"
    r"|SSL_CERT_(FILE|DIR)|NODE_EXTRA_CA_CERTS|(REQUESTS|CURL)_CA_BUNDLE"
)
_PLACEHOLDER = re.compile(r"(?<!\$)\{([a-z][a-z_]*)\}")
_SPOKEN = {"print"}  # awk '{print}'
_SETTING = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*")
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)
_SHORTEST = 4  # a shorter value is no secret: to blot it out would tear holes into every word
_LONGEST = 128 << 10  # bytes that Linux takes as one argument, its end included


@dataclass(frozen=True)
class CommandAgent:
    """A command that plays personas. In its arguments `{persona}`, `{run}` and so on stand for the run's own.

    A run fails if the command's exit code is not 0, if it says that it failed, as coding agents do in the JSON that
    they print, or if it leaves a result for its task that nobody can read.

    It sees only what of the scheduler's environment is harmless, the names in `env`, and what `env_file` sets; the
    values of `env_file`, and those in `env` that are called like secrets, are blotted out of its output and its result.
    """

    name: str
    command: tuple[str, ...]
    prompt: Literal["stdin", "argument", "file"] = "stdin"
    env: tuple[str, ...] = ()
    env_file: Path | None = None
    limits: RunLimits = field(default_factory=RunLimits)

    def trouble(self) -> str | None:
        """Say what is wrong with the command, the file of secrets or a placeholder, and what to do."""
        try:
            self._secrets()
        except UsageError as error:
            return str(error)
        for word in self.command:
            for found in _PLACEHOLDER.finditer(word):
                if found[1] not in {*PLACEHOLDERS, *_SPOKEN}:
                    known = ", ".join(PLACEHOLDERS)
                    return f"agent {self.name}: {found[0]} is no placeholder; there are {known}, all in braces"
        if self.prompt == "file" and not any("{prompt_file}" in word for word in self.command):
            return f'agent {self.name} has prompt = "file", but nowhere in its command is {{prompt_file}}; add it'
        return self._missing()

    def _missing(self) -> str | None:
        if not self.command or not self.command[0]:
            return f"agent {self.name} has no command; write one into [agents.{self.name}] of team.toml"
        program = self.command[0]
        within = os.sep in program and not program.startswith(os.sep)  # of the workspace, which is not there yet
        if within or _PLACEHOLDER.search(program) or shutil.which(program):
            return None
        if os.sep in program:
            return f"agent {self.name}: {program} is not there or not executable; install it, or correct the command"
        return f"agent {self.name}: {program} is not in PATH; install it, or write its whole path into the command"

    def play(self, job: Job) -> Outcome:
        """Run the command in the job's workspace."""
        if job.stop.is_set():
            return Outcome("stopped", None, 0.0, "stopped before it began")
        try:
            return self._play(job)
        except (OSError, UsageError) as error:  # no room for the prompt, no process to be had, no file of secrets
            return Outcome("failed", None, 0.0, f"cannot start: {error}")

    def _play(self, job: Job) -> Outcome:
        prompt_file = job.write_prompt()
        argv, stdin = [self._filled(word, job, prompt_file) for word in self.command], Path(os.devnull)
        if self.prompt == "stdin":
            stdin = prompt_file
        elif self.prompt == "argument":
            argv.append(job.prompt.replace("\0", "\N{REPLACEMENT CHARACTER}"))
            if len(os.fsencode(argv[-1])) >= _LONGEST:
                return Outcome("failed", None, 0.0, self._too_long(job))
        secrets = self._secrets()
        env = self._environment(job) | secrets | _own(job) | _task(job)
        hidden = self._hidden(secrets)
        outcome = keep(job, argv, env, secrets=hidden, stdin=stdin, limits=self.limits)
        return _concluded(job, outcome, hidden) if outcome.status == "ok" else outcome

    def _too_long(self, job: Job) -> str:
        return (
            f"the prompt has {len(job.prompt):,} characters, too many for one argument (128 KiB); "
            f'set prompt = "stdin" or "file" in [agents.{self.name}]'
        )

    def _filled(self, word: str, job: Job, prompt_file: Path) -> str:
        known = {
            "persona": job.persona,
            "run": job.run,
            "attempt": str(job.attempt),
            "sprint": str(job.sprint),
            "prompt_file": str(prompt_file),
            "workspace": str(job.workspace),
        }
        return _PLACEHOLDER.sub(lambda found: known.get(found[1], found[0]), word)

    def _environment(self, job: Job) -> dict[str, str]:
        passed = {name: value for name, value in os.environ.items() if name in self.env or PASSED.fullmatch(name)}
        return passed | {"PATH": _path(job.home), "TERM": "dumb"}

    def _secrets(self) -> dict[str, str]:
        return read_environment(self.env_file, self.name) if self.env_file else {}

    def _hidden(self, secrets: Mapping[str, str]) -> list[str]:
        passed = {name: os.environ[name] for name in self.env if name in os.environ and _SECRET.search(name)}
        return [value for value in {*secrets.values(), *passed.values()} if len(value) >= _SHORTEST]


def read_environment(file: Path, agent: str) -> dict[str, str]:
    """Read a file of KEY=VALUE lines; `#` begins a comment line, quotes around a value go. Raises UsageError."""
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UsageError(f"agent {agent}: cannot read env_file {file}: {why}; create or correct it") from None
    read: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            if not (found := _SETTING.fullmatch(line)):  # the line itself is not shown: it may be a secret
                raise UsageError(f"agent {agent}: {file}:{number} is not of the form KEY=VALUE; correct it")
            read[found[1]] = _unquoted(found[2])
    return read


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def _own(job: Job) -> dict[str, str]:
    """Say who it is; and let git find no repository above a clone whose `.git` is gone: that would be the user's."""
    above = {"GIT_CEILING_DIRECTORIES": str(job.workspace.parent)}
    human = {HUMAN_VARIABLE: job.human} if job.human else {}
    return {"TEAM_HOME": str(job.home), "TEAM_PERSONA": job.persona, "TEAM_RUN": job.run} | human | above


def _task(job: Job) -> dict[str, str]:
    """Say where the result goes, which is not there yet; and what the task is, and its input, if there is one."""
    output, given = job.folder / FILE, job.folder / "input.json"
    output.unlink(missing_ok=True)
    told = {"TEAM_OUTPUT": str(output)}
    if job.assignment:
        given.write_text(json.dumps(job.assignment.input, ensure_ascii=False), errors="replace")
        told |= {"TEAM_TASK": job.assignment.task, "TEAM_INPUT": str(given)}
    return told


def _concluded(job: Job, outcome: Outcome, hidden: Collection[str]) -> Outcome:
    """Take in what a run that ended well said of its end, and its result where a task is to have one."""
    log = log_of(job.folder)
    if why := read_stream(log).failed:
        return replace(outcome, status="failed", detail=f"{outcome.detail}, but it says that it failed: {why}")
    if job.assignment is None:
        return outcome
    try:
        return replace(outcome, output=output_of(job.folder, log, hidden))
    except BadOutput as error:
        return replace(outcome, status="failed", detail=f"{outcome.detail}, but {error}")


def _path(home: Path) -> str:
    """Return the PATH of a run: whoever starts the scheduler, agents have this `team-mail`.

    If another would be found, or none, a folder that holds ours alone comes first: to put our own folder there would
    give agents the Python that team-mail is installed with for their project's.
    """
    path, ours = os.environ.get("PATH", os.defpath), Path(sys.executable).with_name("team-mail")
    if not ours.exists() or shutil.which(ours.name) == str(ours):
        return path
    link = home / "work" / "bin" / ours.name
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        with suppress(FileExistsError):  # another run was first
            link.symlink_to(ours)
    return f"{link.parent}{os.pathsep}{path}"
