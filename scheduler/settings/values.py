"""The forms that single values of settings must have, as types that pydantic checks."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BeforeValidator, Field

from ...mail.directory import EVERYBODY, PROGRAMS
from ...mail.letter import TYPES, is_type
from ...mail.text.globs import checked, is_path
from ...mail.text.nearest import nearest, suggestion
from ...mail.text.units import byte_count, crontab, seconds
from ...personas.agents.presets import preset as presets
from ...personas.spending.amount import spelled
from ...personas.web.urls import endpoint, link, server

_NAME = re.compile(r"\w[\w.-]{0,63}")
_EVERY = re.compile(r"every +(\d{1,6})")
_DEAREST = 1e6  # US dollars for a million tokens
_UNTYPED = "note"  # the type of mail that was given none


def _name(value: str) -> str:
    if not _NAME.fullmatch(value) or value in PROGRAMS or value.lower() == EVERYBODY:
        raise ValueError("must be a name of letters, digits, '.', '_' and '-', and none of the team's own programs")
    return value


def _mail_type(value: str) -> str:
    if value == _UNTYPED:
        raise ValueError(f'must not hold "{_UNTYPED}": mail without a type is of that type, and always wakes')
    if not is_type(value):
        close = nearest(value.lower(), TYPES, most=1)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(f"is {value!r}, and a type of mail is 1 to 32 of the letters a to z, '_' and '-'{meant}")
    return value


def _agents(value: Any) -> Any:
    """Take one agent, or several: a list, or text with commas as in a variable."""
    names = value.split(",") if isinstance(value, str) and "," in value else value
    if not isinstance(names, list | tuple):
        return names
    chosen = tuple(name.strip() if isinstance(name, str) else name for name in cast("list[Any]", names))
    if not chosen or len({*map(str, chosen)}) < len(chosen):
        raise ValueError('must be the name of an agent, or a list without repetitions: ["claude", "codex"]')
    return chosen


def _branch(value: str) -> str:
    if not value or value.startswith("-") or re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|\.$|/$|^/", value):
        raise ValueError("must be the name of a branch")
    return value


def _filled(command: tuple[str, ...]) -> tuple[str, ...]:
    if not command or not command[0].strip() or "\0" in "".join(command):
        raise ValueError('must be the list of a command\'s words, as in ["make", "test"]')
    return command


def _variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*( if [A-Za-z_]\w*)?", name, re.ASCII):
        raise ValueError("must be the name of a variable to pass on (values belong in the file that env_file names)")
    return name


def _preset(name: str) -> str:
    if name not in presets.names():
        raise ValueError(f"is {name!r}, and no preset has that name{suggestion(name, presets.names())}")
    return name


def _mode(value: Any) -> str | tuple[int, ...]:
    if value in {"always", "never"} if isinstance(value, str) else _are_sprints(value):
        return value
    if isinstance(value, str) and (every := _every(value)):
        return every
    raise ValueError('must be "always", "never", "every 5" or a list of sprints ([50, 55, 60])')


def _rolling(value: Any) -> str:
    if isinstance(value, str) and (mode := value if value in {"always", "never"} else _every(value)):
        return mode
    raise ValueError('must be "always", "never" or "every 5"')


def _every(value: str) -> str:
    match = _EVERY.fullmatch(value.strip())
    return f"every {int(match[1])}" if match and int(match[1]) else ""


def _are_sprints(value: Any) -> bool:
    return isinstance(value, tuple) and all(
        type(number) is int and number > 0 for number in cast("tuple[Any, ...]", value)
    )


def _source(value: str) -> str:
    """Return the name that Jules has for a repository; `OWNER/REPO` is one of GitHub."""
    if re.fullmatch(r"sources/[\w./-]+", value, re.ASCII):
        return value
    if re.fullmatch(r"[\w.-]+/[\w.-]+", value, re.ASCII):
        return f"sources/github/{value}"
    raise ValueError('must be a repository as Jules names it: "sources/github/OWNER/REPO"')


def _rooted(path: str) -> str:
    if not path.startswith(("/", "~")):
        raise ValueError('must begin with / or ~, as in "/var/tmp/team-mail"')
    return path


def _commands(value: Any) -> object:
    """Take one command, a list of words, for a list of one command."""
    words = cast("tuple[Any, ...]", value) if isinstance(value, tuple) else ()
    return (words,) if words and all(isinstance(word, str) for word in words) else cast("object", value)


def _within(path: str) -> str:
    """Check a glob of files that are copied, or shared, between checkout and workspaces."""
    path = checked(path)
    if {".git", ".team"} & {name.casefold() for name in path.split("/")}:
        raise ValueError("must be outside of .git and .team")
    return path


def _folder(path: str) -> str:
    if path.startswith(("/", "~")):
        raise ValueError("must be the path of a folder in the workspace, from its top")
    path = _within(path).rstrip("/")
    if not is_path(path):
        raise ValueError("must be the path of one folder, without wildcards")
    return path


def _home_path(path: str) -> str:
    steps = Path(path).parts
    if not steps or path.startswith(("/", "~")) or ".." in steps or "\0" in path:
        raise ValueError('must be a path in the home folder, as seen from there: ".claude"')
    return "/".join(steps)


def _apart(folders: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a folder that lies in another one: only one of them could be a link."""
    for number, folder in enumerate(folders):
        for earlier in folders[:number]:
            if f"{folder}/".startswith(f"{earlier}/") or f"{earlier}/".startswith(f"{folder}/"):
                raise ValueError(f"must be folders apart from each other, and {earlier} and {folder} are not")
    return folders


def _remote(value: str) -> str:
    """Check the address of a repository: one that git takes for no option and no helper, and that has no password."""
    address = re.fullmatch(r"(ssh|https?|git|file)://(?:([^/@\s]*)@)?[^/\s@][^\s]*|file:///[^\s]*", value)
    path = value.startswith("/") or re.fullmatch(r"(?:[\w.-]+@)?[\w.-]+:(?!:)[^\s]+", value)
    if value.startswith("-") or "\0" in value or "\n" in value or not (address or path):
        raise ValueError('must be the address of a repository: "ssh://git@example.org/app.git", "/srv/git/app.git"')
    user = (address[2] or "") if address else ""
    if ":" in user or (user and value.startswith("http")):
        raise ValueError(
            "must hold no user or password, because everybody reads it here: git's credential helper knows them"
        )
    return value


def _remote_name(value: str) -> str:
    return value if re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)*", value) else _remote(value)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("must be a number")
    return value


def _money(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _DEAREST:
        raise ValueError("must be an amount of US dollars, as in 1.25")
    return float(value)


Name = Annotated[str, AfterValidator(_name)]
Agents = Annotated[str | tuple[str, ...], BeforeValidator(_agents)]
Command = Annotated[tuple[str, ...], AfterValidator(_filled)]
Commands = Annotated[tuple[Command, ...], BeforeValidator(_commands)]
Glob = Annotated[str, AfterValidator(checked)]
Within = Annotated[str, AfterValidator(_within)]
HomePath = Annotated[str, AfterValidator(_home_path)]
Folder = Annotated[str, AfterValidator(_folder)]
Seconds = Annotated[float, BeforeValidator(seconds)]
Limit = Annotated[float, BeforeValidator(seconds), Field(gt=0)]
MailType = Annotated[str, AfterValidator(_mail_type)]
Size = Annotated[int, BeforeValidator(byte_count)]
Sprint = Annotated[int, Field(ge=1)]
Rolling = Annotated[str, BeforeValidator(_rolling)]
Parallel = Annotated[str | tuple[int, ...], BeforeValidator(_mode)]
Branch = Annotated[str, AfterValidator(_branch)]
Variable = Annotated[str, AfterValidator(_variable)]
PresetName = Annotated[str, AfterValidator(_preset)]
Rooted = Annotated[str, AfterValidator(_rooted)]
Spelled = Annotated[str, BeforeValidator(spelled)]
Money = Annotated[float, BeforeValidator(_money)]
Finite = Annotated[float, AfterValidator(_finite)]
Crontab = Annotated[str, AfterValidator(crontab)]
JulesSource = Annotated[str, AfterValidator(_source)]
HomePaths = Annotated[tuple[HomePath, ...], AfterValidator(_apart)]
Folders = Annotated[tuple[Folder, ...], AfterValidator(_apart)]
EndpointUrl = Annotated[str, AfterValidator(endpoint)]
ServerUrl = Annotated[str, AfterValidator(server)]
RemoteUrl = Annotated[str, AfterValidator(_remote)]
RemoteName = Annotated[str, AfterValidator(_remote_name)]
LinkUrl = Annotated[str, AfterValidator(link)]
