"""An agent that is a command: any program that takes the prompt on standard input, as last argument or from a file."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ...mail.errors import UsageError
from ...mail.home import HUMAN_VARIABLE, RUN_FOLDER
from ...mail.log.disk import read_file
from ...mail.process import SESSION
from ..agent import Job, Outcome
from ..environment import PASSED, PLACEHOLDER, filled, reaching, unfilled
from ..errors import BadOutput
from ..hidden import SECRET, given
from ..kinds import OutcomeStatus
from ..running.folder import STARTUP
from ..running.process import RunLimits, keep, rejoin
from ..setup.slots import variables_of
from ..spending.usage import UNKNOWN, whole
from ..streams.stream import read_stream
from .recipe import Recipe
from .result import FILE, is_written, log_of, output_of
from .sandbox import Sandbox
from .session import Sessions
from .verdict import BadExit, failed, verdict

PLACEHOLDERS = ("persona", "run", "attempt", "sprint", "prompt_file", "workspace", "slot", "port", "timeout", "model")
_SETTING = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*")
_MIN_SECRET = 4  # characters; masking a shorter value would mangle ordinary words
_MAX_ARGUMENT = 128 << 10  # bytes that Linux accepts as one argument, the terminating NUL included


@dataclass(frozen=True)
class CommandAgent:
    """A command that plays personas. Placeholders such as `{persona}` and `{run}` in its arguments are filled in.

    A run fails if the command's exit code is not 0, if its JSON output reports an error or breaks off, or if the result
    it leaves for its task cannot be read. `bad_exit` is what an exit code other than 0 makes of a run whose output says
    success. With a `sandbox` it reaches nothing but what that shows. A command that a preset made is made anew by its
    `recipe` for a persona that asks for another model, or may do less. `{model}` is that model, or else `model`.
    `sessions` says how a run goes on with a session.

    Its environment holds the harmless part of the scheduler's (`PASSED`), the variables named in `env` (some only if
    another one is set, `NAME if OTHER`), and those that `env_file` sets. All values of `env_file`, and those in `env`
    whose names look like secrets, are masked in the output and the result.
    """

    name: str
    command: tuple[str, ...]
    prompt: Literal["stdin", "argument", "file"] = "stdin"
    env: tuple[str, ...] = ()
    env_file: Path | None = None
    limits: RunLimits = field(default_factory=RunLimits)
    bad_exit: BadExit = "failed"
    sandbox: Sandbox | None = None
    recipe: Recipe | None = None
    model: str = ""
    sessions: Sessions = field(default_factory=Sessions)

    @property
    def max_prompt(self) -> int | None:
        """The most bytes of a prompt that the command can be given; None if any will do."""
        return _MAX_ARGUMENT - 1 if self.prompt == "argument" else None

    def trouble(self) -> str | None:
        """Return what is wrong with the command, the env_file or a placeholder, and what to do."""
        try:
            self._secrets()
        except UsageError as error:
            return str(error)
        if why := unfilled(self.command, PLACEHOLDERS):
            return f"agent {self.name}: {why}"
        if self.prompt == "file" and not any("{prompt_file}" in word for word in self.command):
            return f'agent {self.name} has prompt = "file", but its command does not use {{prompt_file}}; add it'
        if not self.model and any("{model}" in word for word in self.command):
            return f"agent {self.name}: its command has {{model}}, which some personas name; write model for the others"
        if why := self._missing():
            return why
        why = self.sandbox and self.sandbox.trouble(self.command)
        return f"agent {self.name}: {why}" if why else None

    def unresumable(self, session: str) -> str:
        """Return why a run cannot go on with a session of this agent, "" if it can. Raises UsageError."""
        return self.sessions.trouble(session, self._passed() | self._secrets())

    def _missing(self) -> str | None:
        if not self.command or not self.command[0]:
            return f"agent {self.name} has no command; add one to [agents.{self.name}] in team.toml"
        program = self.command[0]
        relative = os.sep in program and not program.startswith(os.sep)  # to the workspace, which is made later
        if relative or PLACEHOLDER.search(program) or shutil.which(program):
            return None
        if os.sep in program:
            return (
                f"agent {self.name}: {program} does not exist or is not executable; install it, or correct the command"
            )
        return f"agent {self.name}: {program} is not in PATH; install it, or give its full path in the command"

    def play(self, job: Job) -> Outcome:
        """Run the command in the job's workspace. Raises RunLeft if the run goes on without this process."""
        if job.stop.is_set() or (job.leave and job.leave.is_set()):
            return Outcome.not_begun()
        try:
            return self._play(job)
        except (OSError, UsageError) as error:  # no space for the prompt, no process, no env_file
            wrong = isinstance(error, UsageError)  # what the machine lacks may be there the next time
            return Outcome(OutcomeStatus.FAILED, None, 0.0, f"cannot start: {error}", hopeless=wrong)

    def _play(self, job: Job) -> Outcome:
        prompt_file, stdin = job.write_prompt(), Path(os.devnull)
        secrets = self._secrets()
        env = self._environment(job) | secrets | _identity(job) | _task(job)
        argv = self._argv(job, prompt_file, env)
        if self.prompt == "stdin":
            stdin = prompt_file
        elif self.prompt == "argument":
            argv.append(job.prompt.replace("\0", "\N{REPLACEMENT CHARACTER}"))
            if len(os.fsencode(argv[-1])) >= _MAX_ARGUMENT:
                return Outcome(OutcomeStatus.FAILED, None, 0.0, self._too_long(job), hopeless=True)
        masked = self._masked(secrets)
        outcome = keep(job, argv, env, secrets=masked, stdin=stdin, limits=self.limits)
        return self._concluded(job, outcome, masked)

    def _argv(self, job: Job, prompt_file: Path, env: Mapping[str, str]) -> list[str]:
        """Return the words that are started, in the sandbox if there is one. Raises UsageError and OSError."""
        words = [self._filled(word, job, prompt_file) for word in self._words(job)]
        argv = self.sessions.command(words, job.resume, env)
        return self.sandbox.wrap(argv, env, job) if self.sandbox else argv

    def rejoin(self, job: Job) -> Outcome | None:
        """Wait for the end of a run that another process started; None if nobody knows how it ended.

        Raises RunLeft as `play` does, and UsageError if the env_file cannot be read any more.
        """
        masked = self._masked(self._secrets())
        outcome = rejoin(job, self.command[0], self.limits)
        return None if outcome is None else self._concluded(job, outcome, masked)

    def _concluded(self, job: Job, outcome: Outcome, masked: Collection[str]) -> Outcome:
        """Judge a run by what it printed, and add the result of its task if it ended well."""
        log = log_of(job.folder)
        transcript = read_stream(log)
        used = whole(outcome.usage, transcript.usage)
        cut = outcome.exit is None and not transcript.known and used != UNKNOWN  # text has no final event
        outcome = replace(outcome, usage=replace(used, partial=used.partial or cut))
        return _with_result(job, verdict(outcome, transcript, self.bad_exit), log, masked)

    def _words(self, job: Job) -> tuple[str, ...]:
        return self.recipe.words(job.model, job.rules) if self.recipe else self.command

    def _too_long(self, job: Job) -> str:
        return (
            f"the prompt has {len(job.prompt):,} characters, too many for one argument (128 KiB); "
            f'set prompt = "stdin" or "file" in [agents.{self.name}]'
        )

    def _filled(self, word: str, job: Job, prompt_file: Path) -> str:
        values = {
            "persona": job.persona,
            "run": job.run,
            "attempt": str(job.attempt),
            "sprint": str(job.sprint),
            "prompt_file": str(prompt_file),
            "workspace": str(job.workspace),
            "slot": str(job.slot),
            "port": str(job.port),
            "timeout": f"{job.timeout:g}",
            "model": job.model or self.model,
        }
        return filled(word, values)

    def _environment(self, job: Job) -> dict[str, str]:
        folder = job.workspace / RUN_FOLDER
        return {"BASH_ENV": str(folder / STARTUP)} | self._passed() | {"PATH": _path(folder), "TERM": "dumb"}

    def _passed(self) -> dict[str, str]:
        """Return the variables of the scheduler that a run gets."""
        return self._named() | {name: value for name, value in given().items() if PASSED.fullmatch(name)}

    def _secrets(self) -> dict[str, str]:
        return read_environment(self.env_file, self.name) if self.env_file else {}

    def _masked(self, secrets: Mapping[str, str]) -> list[str]:
        passed = [value for name, value in self._named().items() if SECRET.search(name)]
        return [value for value in {*secrets.values(), *passed} if len(value) >= _MIN_SECRET]

    def masked(self) -> list[str]:
        """Return the values that are masked in all that a run leaves. Raises UsageError for an unreadable env_file."""
        return self._masked(self._secrets())

    def _named(self) -> dict[str, str]:
        """Return the variables that `env` lets through."""
        all_given = given()
        return {name: all_given[name] for name in reaching(self.env, all_given) if name in all_given}


def read_environment(file: Path, agent: str) -> dict[str, str]:
    """Read a file of KEY=VALUE lines. `#` starts a comment line; quotes around a value are removed.

    `agent` is the agent's name, for the message. Raises UsageError if the file cannot be read or a line has another
    form.
    """
    try:
        lines = read_file(file, follow=True).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UsageError(f"agent {agent}: cannot read env_file {file}: {why}; create or correct it") from None
    variables: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            if not (match := _SETTING.fullmatch(line)):  # the line itself is not shown: it may be a secret
                raise UsageError(f"agent {agent}: {file}:{number} is not of the form KEY=VALUE; correct it")
            variables[match[1]] = _unquoted(match[2])
    return variables


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def _identity(job: Job) -> dict[str, str]:
    """Return the variables that say who runs. Git must not search above the workspace: it would find the user's."""
    human = {HUMAN_VARIABLE: job.human} if job.human else {}
    return (
        human
        | variables_of(job.slot, job.port)
        | {
            "TEAM_HOME": str(job.home),
            "TEAM_PERSONA": job.persona,
            "TEAM_RUN": job.run,
            "TEAM_MAIL": str(job.workspace / RUN_FOLDER / "team-mail"),
            **({SESSION: job.session} if job.session else {}),
            "GIT_CEILING_DIRECTORIES": str(job.workspace.parent),
        }
    )


def _task(job: Job) -> dict[str, str]:
    """Remove the result of an earlier attempt and write the input; return the variables that name both files."""
    folder = job.workspace / RUN_FOLDER
    output, task_input = folder / FILE, folder / "input.json"
    output.unlink(missing_ok=True)
    if job.assignment is None:
        return {"TEAM_OUTPUT": str(output)}
    task_input.write_text(json.dumps(job.assignment.input, ensure_ascii=False), errors="replace")
    return {
        "TEAM_OUTPUT": str(output),
        "TEAM_DISPATCH": job.assignment.dispatch,
        "TEAM_TASK": job.assignment.task,
        "TEAM_INPUT": str(task_input),
    }


def _with_result(job: Job, outcome: Outcome, log: bytes, masked: Collection[str]) -> Outcome:
    """Add the result of a task to the outcome of a run that ended well."""
    if job.assignment is None or outcome.status != OutcomeStatus.OK:
        return outcome
    if is_written(job.workspace):  # it made what was asked for, whatever it says
        outcome = replace(outcome, unless_changed="", unless_heard="")
    try:
        return replace(outcome, output=output_of(job.workspace, log, masked))
    except BadOutput as error:
        return failed(outcome, str(error))


def _path(folder: Path) -> str:
    """Return the PATH of a run: first the folder with its own `team-mail`, which the agent's sandbox lets it use.

    An agent that runs its commands in login shells may lose the folder, because /etc/profile sets PATH anew. Bash puts
    it back, see `STARTUP`; in other shells any `team-mail` that is found in the workspace gives way to it, and the
    prompt names it by its path.
    """
    return f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
