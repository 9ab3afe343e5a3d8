"""What a model without tool calls writes instead: blocks of its answer, read as the calls that they stand for.

A change is a path, and after it the lines that are searched for and those in their place. What is asked for stands in a
fence of the kind `ask`, one request a line, and a mail in one of the kind `mail`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, cast

from .answer import Call
from .catalogue import BLOCK, EDIT_LINES, NEW_FILE

FORM = """\
You have no tools. You change files, ask for what you need and send mail by blocks in your answer, of these forms alone.

To change a file: its path on a line of its own, then the exact lines to replace and the lines in their place. Copy the
lines exactly, with their blanks; they must stand in the file once. For a new file, leave the first part empty.

notes/list.txt
<<<<<<< SEARCH
the old lines
=======
the new lines
>>>>>>> REPLACE

To ask for something, one request a line; you get the answers, and then go on:

```ask
list
list src
read src/main.py
search def +main
inbox
mail 12
```

To send mail, with an empty line before the text; an answer has `reply_to: 12` in place of `to` and `subject`:

```mail
to: bob
subject: The list

The text.
```

Once everything is done, say in a sentence what you did, without any block: that ends your work."""
RUN = "To run a command, ask for `run COMMAND`, without a shell. Allowed are: {allowed}."
_SEARCH = re.compile(r"^\s{0,3}<{5,9}\s*SEARCH[>\s]*(?P<path>\S.*?)?\s*$")
_MIDDLE = re.compile(r"^={5,9}\s*$")
_REPLACE = re.compile(r"^\s{0,3}>{5,9}\s*REPLACE\b.*$")
_FENCE = re.compile(r"^\s{0,3}(?P<fence>`{3,}|~{3,})\s*(?P<kind>[\w+#.-]*)(?P<more>.*)$")
_DRESS = re.compile(r"^(?:[#>*\-\s]|\d+\.\s)*(?:(?:file|path|filename)\s*:)?\s*|[*:\s]*$", re.IGNORECASE)
_CALLED = re.compile(  # as Qwen3-Coder does it, and Hermes; some servers leave out the end
    r"<function=(?P<name>[\w.-]+)>(?P<values>.*?)(?:</function>|\Z)"
    r"|<tool_call>\s*(?!<function=)(?P<json>[\[{].*?)\s*(?:</tool_call>|(?=<tool_call>)|\Z)",
    re.DOTALL,
)
_VALUE = re.compile(r"<parameter=([\w.-]+)>\n?(.*?)\n?</parameter>", re.DOTALL)
_BARE = re.compile(r"\s*(?:```(?:json)?\s*)?(\{.*\})\s*(?:```)?\s*", re.DOTALL)  # a whole answer
_HEAD = re.compile(r"^(to|subject|reply_to)\s*:\s*(.*)$", re.IGNORECASE)
_LONGEST_PATH = 300
_BEFORE = 3  # lines before a block among which its path may stand


def blocks(text: str) -> list[Call]:
    """Return the calls that the blocks of an answer stand for, in their order."""
    calls = [*_called(text)] or [*_read(text.replace("\r\n", "\n").split("\n"))]
    return [call._replace(id=f"block_{number}") for number, call in enumerate(calls, 1)]


def _called(text: str) -> Iterator[Call]:
    """Yield calls that a model wrote as text, since its server does not know how it marks them."""
    if match := _BARE.fullmatch(text):
        call = _of_json(match[1])
        yield from [call] if call else []
        return
    for match in _CALLED.finditer(text):
        if match["name"]:
            values = {each[1]: each[2] for each in _VALUE.finditer(match["values"])}
            yield Call("", match["name"], json.dumps(values))
        else:
            wrong = "what stands in <tool_call> is no JSON object with name and arguments; send it again"
            yield _of_json(match["json"]) or _unfit(wrong)


def _of_json(text: str) -> Call | None:
    """Return the call that an object of JSON with a name and arguments is."""
    try:
        value: Any = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    table = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    name, arguments = table.get("name"), table.get("arguments", table.get("parameters"))
    if not isinstance(name, str) or not isinstance(arguments, dict | str):
        return None
    return Call("", name, arguments if isinstance(arguments, str) else json.dumps(arguments))


def _read(rows: list[str]) -> Iterator[Call]:
    at, path = 0, ""
    while at < len(rows):
        if match := _SEARCH.match(rows[at]):
            path = match["path"] or _path_before(rows, at) or path
            at, call = _change(rows, at + 1, path)
            yield call
        elif (match := _FENCE.match(rows[at])) and match["kind"].lower() in {"ask", "mail"}:
            end = next((n for n in range(at + 1, len(rows)) if rows[n].strip() == match["fence"]), len(rows))
            inside = rows[at + 1 : end]
            yield from _asked(inside) if match["kind"].lower() == "ask" else [_mail(inside)]
            at = end + 1
        else:
            at += 1


def _path_before(rows: list[str], at: int) -> str:
    """Return the path that stands before a block, with or without a fence between; "" if none does."""
    for row in reversed(rows[max(0, at - _BEFORE) : at]):
        fence = _FENCE.match(row)
        name = fence["more"].strip() if fence else row.strip()
        if _REPLACE.match(row):
            return ""
        name = _DRESS.sub("", name).strip("`'\"").strip()
        if name and len(name) <= _LONGEST_PATH and (" " not in name or "/" in name):
            return name
        if name and not fence:
            return ""
    return ""


def _change(rows: list[str], at: int, path: str) -> tuple[int, Call]:
    """Read a block from the line after its first; return where it ends, and its call."""
    middle = next((n for n in range(at, len(rows)) if _MIDDLE.match(rows[n])), None)
    end = next((n for n in range(at if middle is None else middle, len(rows)) if _REPLACE.match(rows[n])), None)
    if middle is None or end is None:
        return len(rows), _unfit(f"the block of {path or 'a file'} has no ======= or no >>>>>>> REPLACE; send it whole")
    old, new = (_text(rows[first:last]) for first, last in ((at, middle), (middle + 1, end)))
    if not path:
        return end + 1, _unfit("no path stands before a block; send it again, with the path on the line before")
    if not old.strip():
        return end + 1, _call(NEW_FILE, path=path, content=new)
    return end + 1, _call(EDIT_LINES, path=path, old=old, new=new)


def _text(rows: list[str]) -> str:
    return "".join(f"{row}\n" for row in rows)


def _unfit(why: str) -> Call:
    return _call(BLOCK, why=why)


def _asked(rows: list[str]) -> Iterator[Call]:
    """Yield the calls of the lines of a fence `ask`."""
    for row in filter(None, map(str.strip, rows)):
        verb, _, rest = row.partition(" ")
        rest = rest.strip()
        match verb.lower(), rest:
            case ("list", _):
                yield _call("list_files", path=rest.strip("`"))
            case ("read", str(path)) if path:
                yield _call("read_file", path=path.strip("`"))
            case ("search", str(pattern)) if pattern:
                yield _call("search", pattern=pattern)
            case ("run", str(command)) if command:
                yield _call("run", command=command)
            case ("inbox", ""):
                yield _call("read_mail")
            case ("mail", str(number)) if number.isdecimal():
                yield _call("read_mail", number=int(number[:9]))
            case _:
                yield _unfit(f"{row[:_LONGEST_PATH]!r} is nothing that can be asked for")


def _call(name: str, **arguments: object) -> Call:
    return Call("", name, json.dumps(arguments))


def _mail(rows: list[str]) -> Call:
    head: dict[str, str] = {}
    at = 0
    while at < len(rows) and (match := _HEAD.match(rows[at].strip())):
        head[match[1].lower()] = match[2].strip()
        at += 1
    return _call(
        "send_mail", body="\n".join(rows[at:]).strip("\n"), **{name: text for name, text in head.items() if text}
    )
