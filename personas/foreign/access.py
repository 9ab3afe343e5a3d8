"""What tools a persona may use, in the words of each tool: which files and commands that leaves it, and back.

Of a list without anything that writes files, and of any of the ways to say "read-only", nothing is left to change:
`paths: []`. Of a list without a shell, or with some commands alone, these commands are left: `commands`. Nobody is
there to be asked, so what would be asked for is not allowed. Nothing here allows more than the file does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from ...mail.render import listed as listed_names
from ...mail.text.globs import is_from_top
from .sheet import Format, Note, Sheet

Globs = tuple[str, ...] | None
KEYS = {  # of each tool: the keys that say it
    Format.CLAUDE: ("tools", "disallowedTools", "permissionMode"),
    Format.CODEX: ("sandbox_mode",),
    Format.COPILOT: ("tools",),
    Format.CREWAI: (),
    Format.EGREGORA: (),
    Format.GEMINI: ("tools",),
    Format.OPENCODE: ("permission", "tools"),
}
_WRITE = {  # names of tools, in small letters, that write files, and that run commands
    Format.CLAUDE: ({"write", "edit", "multiedit", "notebookedit"}, {"bash", "powershell"}),
    Format.COPILOT: (
        {
            "edit", "editfiles", "write", "multiedit", "notebookedit", "new", "createfile", "createdirectory",
            "insert_edit_into_file", "create_file", "apply_patch", "editnotebook", "edit_file", "editor",
        },
        {
            "execute", "shell", "bash", "powershell", "runcommands", "runinterminal", "run_in_terminal", "terminal",
            "runtasks", "terminalcommand", "createandruntask", "runtask",
        },
    ),
    Format.GEMINI: ({"write_file", "replace", "edit", "writefile", "write"}, {"run_shell_command", "shell"}),
    Format.OPENCODE: ({"write", "edit", "patch", "multiedit", "apply_patch"}, {"bash"}),
}  # fmt: skip
_ITEM = re.compile(r"([^()]+)(?:\((.*)\))?", re.DOTALL)
_EVERYTHING = {"*", "all"}
_BUILT_IN = {
    "agent",
    "browser",
    "edit",
    "execute",
    "read",
    "search",
    "todo",
    "vscode",
    "web",
}  # sets of Copilot's tools
_SHOWN = 3  # names in a note
_CATCH_ALL = {"*", "**", "**/*"}
_ALL = "has tools that write files and run commands: paths and commands are any"
_NO_WRITER = "has no tool that writes files: paths = []; add paths if its commands are to change some"


@dataclass
class Access:
    """What a file leaves a persona: globs of files and of commands as in `Persona`, None for any; and the notes."""

    paths: Globs = None
    commands: Globs = None
    notes: list[Note] = field(default_factory=list[Note])


def access(sheet: Sheet) -> Access:
    """Return what a file's keys about tools leave of files and commands."""
    left = Access()
    keys = sheet.keys
    if sheet.format == Format.CODEX:
        _sandbox(sheet, left)
    elif sheet.format == Format.OPENCODE:
        _permissions(sheet, left)
    elif sheet.format in _WRITE:
        if keys.get("tools") is not None:
            _allowed(sheet, listed(keys["tools"]), left)
        if sheet.format == Format.CLAUDE:
            _denied(sheet, listed(keys.get("disallowedTools")), left)
            _mode(sheet, left)
    return left


def listed(value: Any) -> list[str]:
    """Return the names of a list, or of a text with commas between; commas within parentheses belong to a name."""
    if isinstance(value, dict):
        return [str(key) for key in cast("dict[str, Any]", value) if _on(cast("dict[str, Any]", value), str(key))]
    if isinstance(value, list):
        return [str(item).strip() for item in cast("list[Any]", value) if str(item).strip()]
    text = "" if value is None else str(value).strip().removeprefix("[").removesuffix("]")
    names = re.findall(r"(?:[^,()]|\([^()]*\))+", text)
    return [name.strip().strip("'\"") for name in names if name.strip()]


class _Listed(NamedTuple):
    """What a list of tools has: one that writes files, commands, a shell for any of them, and tools of servers."""

    writes: bool
    commands: tuple[str, ...]
    any_command: bool
    servers: list[str]


def _allowed(sheet: Sheet, names: Sequence[str], left: Access) -> None:
    """Read a list of the tools that may be used."""
    everything = bool(_EVERYTHING & {*names})
    seen = _Listed(True, (), True, []) if everything else _sorted(sheet.format, names)
    if not seen.writes:
        left.paths = ()
        left.notes.append(sheet.note("tools", _NO_WRITER, lost=False))
    if not seen.any_command:
        left.commands = seen.commands
        said = ", ".join(seen.commands) or "none but team-mail"
        left.notes.append(sheet.note("tools", f"commands: {said}", lost=False))
    if seen.servers:
        shown = listed_names(seen.servers, _SHOWN)
        left.notes.append(sheet.note("tools", f"{shown}: tools of servers; give them to the agent in its own settings"))
    if seen.writes and seen.any_command:
        left.notes.append(sheet.note("tools", _ALL, lost=False))


def _sorted(form: Format, names: Sequence[str]) -> _Listed:
    """Sort the tools of a list by what they do."""
    writers, shells = _WRITE[form]
    writes, any_command, commands, servers = False, False, list[str](), list[str]()
    for name in names:
        parts = re.split(r"[/.]", _bare(name).lower())
        ends = {parts[0], parts[-1]}
        if ends & writers:
            writes = True
        elif ends & shells:
            glob = _command(name)
            commands += [glob] if glob else []
            any_command = any_command or not glob
        elif _is_server(name):
            servers.append(name)
    return _Listed(writes, tuple(dict.fromkeys(commands)), any_command, servers)


def _bare(name: str) -> str:
    match = _ITEM.fullmatch(name)
    return match[1].strip() if match else name


def _is_server(name: str) -> bool:
    return (
        name.startswith("mcp_")
        or name.endswith(".*")
        or ("/" in name and name.split("/", maxsplit=1)[0] not in _BUILT_IN)
    )


def _command(name: str) -> str:
    """Return the commands that a name such as `Bash(git log:*)` stands for, "" for all of them."""
    match = _ITEM.fullmatch(name)
    inner = " ".join(match[2].split()) if match and match[2] else ""
    glob = f"{inner.removesuffix(':*')} *" if inner.endswith(":*") else inner
    return "" if glob in _EVERYTHING else glob


def _denied(sheet: Sheet, names: Sequence[str], left: Access) -> None:
    """Read Claude's list of the tools that may not be used."""
    writers, shells = _WRITE[sheet.format]
    denied = {_bare(name).lower() for name in names if "(" not in name}
    if {"write", "edit"} <= denied or "*" in denied:
        left.paths = ()
        left.notes.append(sheet.note("disallowedTools", "nothing that writes files is left: paths = []", lost=False))
    elif writers & denied:
        left.notes.append(
            sheet.note("disallowedTools", "leaves another tool that writes files, so nothing comes of it")
        )
    if shells & denied or "*" in denied:
        left.commands = ()
        left.notes.append(sheet.note("disallowedTools", "commands: none but team-mail", lost=False))
    if rest := [name for name in names if "(" in name]:
        left.notes.append(
            sheet.note("disallowedTools", f"{rest[0]}: commands can be allowed here, and not denied; write commands")
        )
    if others := sorted(denied - writers - shells - {"*"}):
        left.notes.append(
            sheet.note("disallowedTools", f"{', '.join(others[:4])}: deny it in the agent's own settings")
        )


def _mode(sheet: Sheet, left: Access) -> None:
    mode = sheet.text("permissionMode")
    if mode == "plan":
        left.paths = ()
        left.notes.append(sheet.note("permissionMode", "plan only reads: paths = []", lost=False))
    elif mode and mode != "default":
        left.notes.append(
            sheet.note(
                "permissionMode", f"{mode} has no effect: what a run may do without asking its [agents] table says"
            )
        )


def _sandbox(sheet: Sheet, left: Access) -> None:
    mode = sheet.text("sandbox_mode")
    if mode == "read-only":
        left.paths = ()
        left.notes.append(sheet.note("sandbox_mode", "read-only: paths = []", lost=False))
    elif mode == "workspace-write":
        left.notes.append(sheet.note("sandbox_mode", "workspace-write is what every run has", lost=False))
    elif mode:
        left.notes.append(
            sheet.note("sandbox_mode", f"{mode[:40]} has no effect: how a run is confined its [agents] table says")
        )


def _permissions(sheet: Sheet, left: Access) -> None:
    """Read what OpenCode allows: `tools` that are on or off, and the rules of `permission`."""
    tools = sheet.keys.get("tools")
    if isinstance(tools, dict):
        switches = {str(key): value for key, value in cast("dict[str, Any]", tools).items()}
        off = {name for name in ("write", "edit", "bash") if not _on(switches, name)}
        if {"write", "edit"} <= off:
            left.paths = ()
            left.notes.append(sheet.note("tools", "write and edit are off: paths = []", lost=False))
        if "bash" in off:
            left.commands = ()
            left.notes.append(sheet.note("tools", "bash is off, commands: none but team-mail", lost=False))
        if len(half := sorted({"write", "edit"} & off)) == 1:
            why = f"{half[0]} is off, which leaves another tool that writes files, so nothing comes of it"
            left.notes.append(sheet.note("tools", why))
        rest = [name for name in switches if name not in {"write", "edit", "bash", "patch", "*"}]
        if rest:
            left.notes.append(sheet.note("tools", f"{', '.join(rest[:4])}: set it in the agent's own settings"))
    elif tools is not None:
        _allowed(sheet, listed(tools), left)
    rules = sheet.keys.get("permission")
    if isinstance(rules, dict):
        _rules(sheet, cast("dict[str, Any]", rules), left)
    elif rules is not None and sheet.text("permission") != "allow":
        left.paths, left.commands = (), ()
        left.notes.append(sheet.note("permission", "nothing is allowed unasked: paths = [], commands = []", lost=False))


def _on(switches: Mapping[str, Any], name: str) -> bool:
    value = switches.get(name, switches.get("*", True))
    return value is not False and str(value).lower() != "false"


def _rules(sheet: Sheet, rules: Mapping[str, Any], left: Access) -> None:
    whole = rules.get("*")
    for kind in ("edit", "bash"):
        rule = rules.get(kind, rules.get("write", whole) if kind == "edit" else whole)
        if rule is None:
            continue
        globs, notes = _globs(sheet, kind, rule)
        left.notes += notes
        if globs is None:
            continue
        if kind == "edit":
            usable = tuple(glob for glob in globs if is_from_top(glob))
            if usable != globs:
                lost = [glob for glob in globs if glob not in usable]
                why = f"edit: {', '.join(lost[:3])} is no path from the top of the repository, and not allowed here"
                left.notes.append(sheet.note("permission", why))
            left.paths = usable if left.paths is None else left.paths
            said = f"paths = [{', '.join(usable)}]"
        else:
            left.commands = globs if left.commands is None else left.commands
            said = f"commands: {', '.join(globs) or 'none but team-mail'}"
        left.notes.append(sheet.note("permission", f"{kind}: {said}", lost=False))
    rest = [kind for kind in rules if kind not in {"edit", "bash", "write", "*"}]
    if rest:
        left.notes.append(sheet.note("permission", f"{', '.join(rest[:4])}: set it in the agent's own settings"))


def _globs(sheet: Sheet, kind: str, rule: Any) -> tuple[Globs, list[Note]]:
    """Return what a rule allows, None if it allows everything."""
    if not isinstance(rule, dict):
        return (None if str(rule) == "allow" else ()), []
    rules = [(str(key), str(value)) for key, value in cast("dict[str, Any]", rule).items()]
    last = max((at for at, (key, _) in enumerate(rules) if key in _CATCH_ALL), default=-1)  # the last that fits counts
    whole, before, rules = rules[last][1] if last >= 0 else "allow", rules[: max(last, 0)], rules[last + 1 :]
    allowed = [key for key, action in rules if action == "allow"]
    denied = [key for key, action in rules if action != "allow"]
    if whole == "allow":
        why = f"{kind}: all but {', '.join(denied[:3])} is allowed there; here only what is allowed can be said"
        return None, [sheet.note("permission", why)] if denied else []
    kept = tuple(key for key in allowed if not any(_within(other, key) for other in denied))
    notes: list[Note] = []
    if lost := [key for key in allowed if key not in kept]:
        why = f"{kind}: {', '.join(lost[:3])} is not allowed here, because some of it is denied there"
        notes.append(sheet.note("permission", why))
    if early := [key for key, action in before if action == "allow" and key not in kept]:
        why = f"{kind}: {', '.join(early[:3])} stands before the rule for all, which counts, as the last that fits does"
        notes.append(sheet.note("permission", why))
    return kept, notes


def _within(denied: str, allowed: str) -> bool:
    """Tell whether a pattern may deny some of what another one allows: as far as no sign stands for others."""
    first, second = (re.split(r"[*?\[]", pattern, maxsplit=1)[0].rstrip() for pattern in (denied, allowed))
    return first.startswith(second) or second.startswith(first)


def spelled_access(form: Format, paths: Globs, commands: Globs) -> tuple[dict[str, Any], list[str]]:
    """Return the keys by which a format says which files and commands are left, and what it cannot say."""
    lost = list(_unsaid(form, paths, commands))
    if (paths, commands) == (None, None) or form not in _SPELLED:
        return {}, lost
    return _SPELLED[form](paths, commands), lost


def _for_claude(paths: Globs, commands: Globs) -> dict[str, Any]:
    write = paths is None or bool(paths)
    if commands is None:
        return {} if write else {"disallowedTools": "Write, Edit, NotebookEdit"}
    shell = [f"Bash({_claude(glob)})" for glob in commands]
    return {"tools": ", ".join(["Read", "Grep", "Glob", *(["Edit", "Write"] if write else []), *shell])}


def _for_codex(paths: Globs, _: Globs) -> dict[str, Any]:
    return {"sandbox_mode": "read-only"} if paths == () else {}


def _for_gemini(paths: Globs, commands: Globs) -> dict[str, Any]:
    names = ["read_file", "read_many_files", "list_directory", "glob", "search_file_content"]
    names += [] if paths == () else ["write_file", "replace"]
    return {"tools": [*names, "run_shell_command"] if commands is None else names}


def _for_copilot(paths: Globs, commands: Globs) -> dict[str, Any]:
    names = ["read", "search"] if paths == () else ["read", "search", "edit"]
    return {"tools": [*names, "execute"] if commands is None else names}


def _for_opencode(paths: Globs, commands: Globs) -> dict[str, Any]:
    rules: dict[str, Any] = {}
    for kind, globs in (("edit", paths), ("bash", commands)):
        if globs is not None:
            rules[kind] = {"*": "deny", **dict.fromkeys(globs, "allow")} if globs else "deny"
    return {"permission": rules}


_SPELLED: dict[Format, Callable[[Globs, Globs], dict[str, Any]]] = {
    Format.CLAUDE: _for_claude,
    Format.CODEX: _for_codex,
    Format.COPILOT: _for_copilot,
    Format.GEMINI: _for_gemini,
    Format.OPENCODE: _for_opencode,
}


def _unsaid(form: Format, paths: Globs, commands: Globs) -> Iterator[str]:
    if paths and form != Format.OPENCODE:
        yield "paths: it knows no globs of files, and may change all"
    if commands and form not in {Format.OPENCODE, Format.CLAUDE}:
        yield "commands: it knows no list of commands" + (
            ", and may run all" if form in {Format.CODEX, Format.CREWAI, Format.EGREGORA} else ", and may run none"
        )
    elif commands == () and form in {Format.CODEX, Format.CREWAI, Format.EGREGORA}:
        yield "commands: it may run all"
    if paths == () and form in {Format.CREWAI, Format.EGREGORA}:
        yield "paths: it may change all files"


def _claude(glob: str) -> str:
    prefix = glob.removesuffix(" *")
    return f"{prefix}:*" if prefix != glob and "*" not in prefix else glob
