"""The module that the bundled scripted coder writes: a skeleton of the requested kind that parses and runs."""

from __future__ import annotations

import keyword
import re
import textwrap
from pathlib import PurePosixPath

from ...mail.render import clean

_WIDTH = 100
_BODIES = {
    "Effect": '''\
class {name}:
    """Reaches the outside only through `send`, so that a test can replace it."""

    def __init__(self, send: Callable[[Mapping[str, Any]], Any]) -> None:
        self._send = send

    def run(self, request: Mapping[str, Any]) -> Any:
        """Carry out one request; errors are raised to the caller."""
        if not request:
            raise ValueError("the request is empty")
        return self._send(request)
''',
    "Compute": '''\
def {function}(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result that depends on the values alone."""
    return {{name: values[name] for name in sorted(values)}}
''',
    "Reducer": '''\
def {function}(state: Mapping[str, Any], event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state after one more event, without changing either argument."""
    return {{**state, **event}}


def fold(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the state after all events, applied in order."""
    state: dict[str, Any] = {{}}
    for event in events:
        state = {function}(state, event)
    return state
''',
    "Orchestrator": '''\
class {name}:
    """Calls its steps in order, each with the result of the one before."""

    def __init__(self, *steps: Callable[[Any], Any]) -> None:
        self._steps = steps

    def run(self, request: Any) -> Any:
        """Pass one request through all steps; the first error ends it."""
        for step in self._steps:
            request = step(request)
        return request
''',
}


def specimen(path: str, node_type: str, description: str) -> str:
    """Return the text of a file: a Python module of that node type for `.py`, else the description."""
    text = textwrap.fill(" ".join(clean(description).split()) or "No description was given.", _WIDTH)
    if not path.endswith(".py"):
        return f"{text}\n"
    body = _BODIES.get(node_type, _BODIES["Compute"])
    function = _name(PurePosixPath(path).stem)
    name = "".join(part.capitalize() for part in function.split("_"))
    kinds = ", ".join(kind for kind in ("Callable", "Iterable", "Mapping") if f"{kind}[" in body)
    head = f"{_quoted(text)}\n\nA node of type {_quoted(clean(node_type))}, written without a model: fill it in.\n"
    imports = f"from collections.abc import {kinds}\nfrom typing import Any\n"
    code = body.format(name=name, function=function)
    return f'"""{head}"""\n\nfrom __future__ import annotations\n\n{imports}\n\n{code}'


def _name(stem: str) -> str:
    """Return a valid Python name made from a file's name."""
    name = re.sub(r"\W+", "_", stem, flags=re.ASCII).strip("_").lower()
    plain = name.isidentifier() and not keyword.iskeyword(name) and not keyword.iskeyword(name.capitalize())
    return name if plain else f"module_{name}".rstrip("_")


def _quoted(text: str) -> str:
    """Escape text for a docstring."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
