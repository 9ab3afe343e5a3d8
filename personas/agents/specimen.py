"""The module that the bundled scripted coder writes: a skeleton of its kind, which parses and says what it is for."""

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
    """Touches the world through `send` alone, so that a test can stand in for it."""

    def __init__(self, send: Callable[[Mapping[str, Any]], Any]) -> None:
        self._send = send

    def run(self, request: Mapping[str, Any]) -> Any:
        """Carry out one request; what goes wrong is the caller's to see."""
        if not request:
            raise ValueError("an empty request asks for nothing")
        return self._send(request)
''',
    "Compute": '''\
def {function}(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what follows from the values, and from nothing else."""
    return {{name: values[name] for name in sorted(values)}}
''',
    "Reducer": '''\
def {function}(state: Mapping[str, Any], event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state after one more event; neither is changed."""
    return {{**state, **event}}


def fold(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the state after all events, in their order."""
    state: dict[str, Any] = {{}}
    for event in events:
        state = {function}(state, event)
    return state
''',
    "Orchestrator": '''\
class {name}:
    """Calls its steps one after the other, each with what the one before gave."""

    def __init__(self, *steps: Callable[[Any], Any]) -> None:
        self._steps = steps

    def run(self, request: Any) -> Any:
        """Take one request through all steps; the first that fails ends it."""
        for step in self._steps:
            request = step(request)
        return request
''',
}


def specimen(path: str, node_type: str, description: str) -> str:
    """Return the text of a file: a Python module of that kind for `.py`, the description for any other."""
    told = textwrap.fill(" ".join(clean(description).split()) or "Nothing is said of it.", _WIDTH)
    if not path.endswith(".py"):
        return f"{told}\n"
    body = _BODIES.get(node_type, _BODIES["Compute"])
    function = _name(PurePosixPath(path).stem)
    name = "".join(part.capitalize() for part in function.split("_"))
    kinds = ", ".join(kind for kind in ("Callable", "Iterable", "Mapping") if f"{kind}[" in body)
    head = f"{_quoted(told)}\n\nA node of type {_quoted(clean(node_type))}, written without a model: fill it in.\n"
    imports = f"from collections.abc import {kinds}\nfrom typing import Any\n"
    code = body.format(name=name, function=function)
    return f'"""{head}"""\n\nfrom __future__ import annotations\n\n{imports}\n\n{code}'


def _name(stem: str) -> str:
    """Return a name of Python's for what a file is called."""
    name = re.sub(r"\W+", "_", stem, flags=re.ASCII).strip("_").lower()
    plain = name.isidentifier() and not keyword.iskeyword(name) and not keyword.iskeyword(name.capitalize())
    return name if plain else f"module_{name}".rstrip("_")


def _quoted(text: str) -> str:
    """Make text safe within a docstring."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
