"""What the tools of a model do.

Whatever a model sends is answered, and is never an error of the run: it is told what was wrong, and can try again.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

from ...mail.home import RUN_FOLDER
from ...mail.text.escape import line
from ...mail.text.nearest import suggestion
from ...mail.text.units import and_more, counted
from ..git import Git
from .answer import Call
from .catalogue import BLOCK, EDIT_LINES, MOST_LINES, NEW_FILE, OF_BLOCKS, TOOLS, Parameter, Tool, run_tool
from .commands import FLOOD, LIMIT, Commands, bounded, shortened
from .edits import changed, changed_lines
from .letters import Letters
from .place import Place, Refused

_MOST_LISTED, _MOST_FOUND = 500, 200
_MOST_LETTERS = 60_000  # that a model is shown at once
_LONGEST_LINE = 500  # of what was found
_SEARCH = 20.0  # seconds
_SETTINGS = ("-c", "core.fsmonitor=false", "--literal-pathspecs")
_NOTHING = 1  # the exit code of a search without a result
_HALF = re.compile("[\ud800-\udfff]")  # of a pair of surrogates: text that no file, path or command can hold
_LARGEST = 10**9  # of the numbers in arguments
_TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "integer": (int,), "array": (str, list)}
_OWN = RUN_FOLDER.split("/", 1)[0]


class Done(NamedTuple):
    """What a call came to: the text for the model, and whether it failed, and because it was not allowed."""

    text: str
    failed: bool = False
    denied: bool = False


class Toolbox:
    """The tools of one run. Without any command allowed there is no tool `run`."""

    def __init__(self, place: Place, letters: Letters, commands: Commands | None) -> None:
        self._place, self._letters, self._commands = place, letters, commands
        self.tools = [*TOOLS, *([run_tool(commands.allowed)] if commands else [])]
        self._tools = {tool.name: tool for tool in (*self.tools, *OF_BLOCKS)}
        self._acts: dict[str, Callable[..., str]] = {
            "read_file": self._read_file, "write_file": self._write_file, "edit_file": self._edit_file,
            "list_files": self.list_files, "search": self._search, "send_mail": self._send_mail,
            "read_mail": self._read_mail, "run": self._run, NEW_FILE: self._new_file, EDIT_LINES: self._edit_lines,
            BLOCK: _unfit,
        }  # fmt: skip

    @property
    def names(self) -> list[str]:
        """The names of the tools that a model is told of."""
        return [tool.name for tool in self.tools]

    def do(self, call: Call) -> Done:
        """Carry out a call."""
        try:
            if call.name not in self._tools:
                return Done(f"there is no tool {line(call.name)!r}{suggestion(call.name, self.names)}", failed=True)
            return Done(self._acts[call.name](**_checked(self._tools[call.name], call.arguments)))
        except Refused as refused:
            return Done(str(refused), failed=True, denied=refused.denied)

    def list_files(self, path: str = "") -> str:
        """Return the paths of the files below a folder, one a line. Raises Refused.

        Of very many, it returns the folder's own entries, with the number of files in each folder.
        """
        steps = self._place.steps(path, top=True)
        names = self._known("/".join(steps)) if self._has_git and steps[:1] != [_OWN] else [*self._place.walk(path)]
        if len(names) <= _MOST_LISTED:
            return "\n".join(map(line, names)) or "[no files]"
        rows = _overview(names, len("/".join([*steps, ""])))
        more = [f"[{and_more(len(rows) - _MOST_LISTED)}]"] if len(rows) > _MOST_LISTED else []
        told = f"[{len(names):,} files are too many to be listed; name a folder]"
        return "\n".join([*rows[:_MOST_LISTED], *more, told])

    def _read_file(self, path: str, start: int = 1, lines: int = MOST_LINES) -> str:
        text = self._place.read(path)
        rows = text.split("\n")
        ended = rows[-1] == ""
        rows = rows[:-1] if ended else rows
        first, size, taken = max(start, 1) - 1, 0, list[str]()
        for number, row in enumerate(rows[first : first + min(max(lines, 1), MOST_LINES)], first + 1):
            size += len(row) + 8
            if taken and size > _MOST_LETTERS:
                break
            left = len(row) - _MOST_LETTERS
            more = f" [line {number} goes on: {counted(left, 'more character')} left out]" if left > 0 else ""
            taken.append(f"{number:>6}\t{row[:_MOST_LETTERS].removesuffix(chr(13))}{more}")
        notes = ["[its lines end with CR LF, which edits keep]"] if "\r\n" in text else []
        notes += [] if ended else ["[its last line has no end]"]
        if (left := len(rows) - first - len(taken)) > 0:
            notes = [f"[{counted(left, 'more line')}; read on with start = {first + len(taken) + 1}]"]
        return "\n".join([*taken, *notes]) if taken else f"[the file has {counted(len(rows), 'line')}]"

    def _write_file(self, path: str, content: str) -> str:
        is_new = not self._place.exists(path)
        self._place.write(path, content)
        return f"{'created' if is_new else 'replaced'} {line(path)}, {counted(len(content.splitlines()), 'line')}"

    def _new_file(self, path: str, content: str) -> str:
        if self._place.exists(path) and self._place.read(path).strip():
            raise Refused(f"{line(path)} is there already; search for the lines of it that are to be replaced")
        return self._write_file(path, content)

    def _edit_file(self, path: str, old: str, new: str, count: int = 1) -> str:
        self._place.check_writable(path)
        text = self._place.read(path)
        self._place.write(path, changed(text, old, new, path, count))
        return f"changed {line(path)} in {counted(count, 'place')}"

    def _edit_lines(self, path: str, old: str, new: str) -> str:
        self._place.check_writable(path)
        text = self._place.read(path)
        self._place.write(path, changed_lines(text, old, new, path))
        return f"changed {line(path)}"

    def _search(self, pattern: str, path: str = "") -> str:
        """Return the lines that fit, as PATH:NUMBER:LINE."""
        steps = self._place.steps(path, top=True)
        where = "--untracked" if self._has_git and steps[:1] != [_OWN] else "--no-index"
        output = self._git("grep", "-nIE", "--no-color", where, "-e", pattern, "--", "/".join(steps) or ".")
        rows = output.decode(errors="replace").split("\n")[:-1]
        rows = [row for row in rows if steps[:1] == [_OWN] or not row.startswith(f"{_OWN}/")]
        shown = [_cut(row.rstrip("\r")) for row in rows[:_MOST_FOUND]]
        more = [f"[{and_more(len(rows) - len(shown), 'line')}; search for less]"] if len(rows) > len(shown) else []
        return shortened("\n".join([*shown, *more]).encode(), _MOST_LETTERS) or "[nothing fits]"

    def _send_mail(self, body: str, to: str | list[str] = "", subject: str = "", reply_to: int = 0) -> str:
        if not reply_to and not (to and subject):
            raise Refused("send_mail needs to and subject, or reply_to")
        return self._letters.send(to if isinstance(to, str) else ",".join(to), subject, body, reply_to)

    def _read_mail(self, number: int = 0) -> str:
        return self._letters.read(number)

    def _run(self, command: str, seconds: int = int(LIMIT)) -> str:
        if not self._commands:
            raise Refused("no command is allowed", denied=True)
        return self._commands.run(command, float(seconds))

    @property
    def _has_git(self) -> bool:
        return (self._place.workspace / ".git").is_dir()

    def _known(self, path: str) -> list[str]:
        """Return the files that git knows or would take."""
        listed = self._git("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", path or ".")
        names = sorted({name for name in listed.decode(errors="replace").split("\0") if name})
        return [name for name in names if name.split("/", 1)[0] != _OWN and self._place.exists(name)]

    def _git(self, *words: str) -> bytes:
        """Return what git prints about the workspace. Raises Refused."""
        if "\0" in "".join(words):
            raise Refused("no expression and no path has a NUL")
        argv, env = Git(self._place.workspace / ".git").command(*_SETTINGS, *words)
        ended = bounded(argv, self._place.workspace, env, _SEARCH, keep=FLOOD)
        if ended.why or ended.exit not in {0, _NOTHING}:
            raise Refused(line(ended.why or ended.output.decode(errors="replace").strip())[:_LONGEST_LINE])
        return ended.output


def _cut(row: str) -> str:
    return row if len(row) <= _LONGEST_LINE else f"{row[:_LONGEST_LINE]}…"


def _overview(names: Sequence[str], start: int) -> list[str]:
    """Return the first steps of paths from a position on, each once, and of a folder how many files are below it."""
    below = Counter(name[: name.find("/", start) + 1] or name for name in names)
    return [f"{line(name)} [{counted(below[name], 'file')}]" if name.endswith("/") else line(name) for name in below]


def _unfit(why: str) -> str:
    raise Refused(why)


def _checked(tool: Tool, arguments: str) -> dict[str, Any]:
    """Return the arguments of a call by name. Raises Refused for what the tool does not take."""
    try:
        value = json.loads(arguments, strict=False)  # line breaks within texts are a common slip
    except (ValueError, RecursionError) as error:
        raise Refused(f"the arguments of {tool.name} are not valid JSON ({error}); send one JSON object") from None
    if not isinstance(value, dict):
        raise Refused(f"the arguments of {tool.name} must be one JSON object")
    given = {name: each for name, each in cast("dict[str, Any]", value).items() if each is not None}
    known = {each.name: each for each in tool.parameters}
    if unknown := next((name for name in given if name not in known), ""):
        raise Refused(f"{tool.name} takes no {line(unknown)!r}{suggestion(unknown, known)}")
    if missing := [each.name for each in tool.parameters if not each.optional and each.name not in given]:
        raise Refused(f"{tool.name} needs {', '.join(missing)}")
    return {name: _typed(tool, known[name], each) for name, each in given.items()}


def _typed(tool: Tool, parameter: Parameter, value: Any) -> Any:
    """Return a value in the type that it should have; a number may come as a text, or with a point."""
    if parameter.type == "integer":
        if isinstance(value, str) and re.fullmatch(r"-?\d{1,9}", value.strip()):
            return int(value)
        if isinstance(value, float) and value.is_integer():
            return int(value)
    fits = isinstance(value, _TYPES[parameter.type]) and not isinstance(value, bool)
    parts = cast("list[Any]", value) if isinstance(value, list) else [value]
    if not fits or (parameter.type != "integer" and not all(isinstance(each, str) for each in parts)):
        raise Refused(f"{parameter.name} of {tool.name} must be of the type {parameter.type}")
    if half := next((each for part in parts for each in _HALF.findall(str(part))), ""):
        raise Refused(f"{parameter.name} of {tool.name} has {half!a}, which is half a character; send whole ones")
    return max(-_LARGEST, min(value, _LARGEST)) if isinstance(value, int) else cast("Any", value)
