"""Renders a persona's prompt, a Jinja2 template, in a sandbox with bounded loops and output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import CodeType, TracebackType
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ..mail.render import line
from .errors import PersonaError
from .persona import Persona

MAX_TEXT = 100_000  # characters of a rendered prompt
MAX_STEPS = 10_000  # of all loops over range() in one prompt
_FAULTS = (
    TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError, MemoryError,
)  # fmt: skip
_FILE = "<template>"  # the file name that Jinja2 uses for a template made from a string


class _Sandbox(ImmutableSandboxedEnvironment):
    """Restricts the two operators that could make a long text or number from a short template."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" or not all(isinstance(value, int | float) for value in (left, right)):
            raise ValueError(f"{operator} is only for small numbers in a prompt")
        return super().call_binop(context, operator, left, right)


def render(persona: Persona, variables: Mapping[str, object]) -> str:
    """Render a persona's prompt, if it is a template. Raises PersonaError with file, line and Jinja2's message.

    Of a file that may be another tool's, what cannot be rendered is returned as it stands.
    """
    if persona.template is False:
        return persona.prompt
    try:
        return _rendered(persona, variables)
    except PersonaError:
        if persona.template is None:
            return persona.prompt
        raise


def _rendered(persona: Persona, variables: Mapping[str, object]) -> str:
    steps = iter(range(MAX_STEPS))

    def bounded(*bounds: int) -> Iterator[int]:
        for value in range(*bounds):
            if next(steps, None) is None:
                raise ValueError(f"loops over range() take more than {MAX_STEPS} steps")
            yield value

    sandbox = _sandbox()
    try:
        code = _compiled(persona.prompt)
        template = Template.from_code(sandbox, code, sandbox.make_globals({"range": bounded}))
        return "".join(_capped(template.generate(dict(variables))))
    except _FAULTS as error:
        raise PersonaError(_message(persona, error, variables)) from None


@lru_cache
def _compiled(prompt: str) -> CodeType:
    """Compile a prompt, which the runs of its persona have in common. Raises TemplateSyntaxError."""
    return _sandbox().compile(prompt)


def _sandbox() -> _Sandbox:
    return _Sandbox(undefined=StrictUndefined, keep_trailing_newline=True)


def _capped(pieces: Iterator[str]) -> Iterator[str]:
    left = MAX_TEXT
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            raise ValueError(f"the prompt becomes longer than {MAX_TEXT} characters")
        yield piece


def _message(persona: Persona, error: BaseException, variables: Mapping[str, object]) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if "is undefined" in text:
        text += f"; the variables are {', '.join(sorted(variables))}"
    at = error.lineno if isinstance(error, TemplateSyntaxError) else _line_of(error.__traceback__)
    where = f"{line(str(persona.source or persona.id))}:{persona.line - 1 + at}"
    return f"{where}: the prompt cannot be rendered: {line(text)}"


def _line_of(trace: TracebackType | None) -> int:
    """Return the template's own line, which Jinja2 puts into the traceback."""
    number = 1
    while trace:
        if trace.tb_frame.f_code.co_filename == _FILE:
            number = trace.tb_lineno
        trace = trace.tb_next
    return number
