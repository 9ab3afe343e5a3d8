"""The input that `coder` and `debug` take: which fields, and what they may hold. All others take any object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from ..problems import Problems
from .references import has_reference
from .strict import Path
from .task import Listed, Table, read_table

_Text = Annotated[str, Field(min_length=1)]
_Texts = Annotated[tuple[_Text, ...], Listed]


class CoderInput(Table):
    """What `coder` needs to write a module."""

    contract_description: _Text
    node_type: Literal["Effect", "Compute", "Reducer", "Orchestrator"]
    output_path: _Text
    context_files: _Texts = ()
    validation_level: Literal["strict", "moderate", "lenient"] = "moderate"


class DebugInput(Table):
    """What `debug` needs to find the cause of a problem."""

    problem_description: _Text
    affected_files: _Texts
    error_traces: _Texts = ()
    analysis_depth: Literal["quick", "standard", "deep"] = "standard"
    hypothesis: str | None = None


INPUTS: Mapping[str, type[Table]] = {"coder": CoderInput, "debug": DebugInput}


def check_input(agent: str, input_data: Mapping[str, Any]) -> list[str]:
    """Say what is wrong with the input of a task for `agent`, one line for each mistake; nothing for others' input.

    A text that holds a reference may still become anything, and passes.
    """
    problems = Problems()
    check_typed(agent, input_data, ("input_data",), problems)
    return problems.told()


def check_typed(agent: str, input_data: Mapping[str, Any], path: Path, problems: Problems) -> None:
    """Add what is wrong with an input that stands at `path`."""
    if model := INPUTS.get(agent):
        read_table(model, input_data, path, problems, f"{agent}'s input", passes=_is_open)


def _is_open(value: Any) -> bool:
    return isinstance(value, str) and has_reference(value)
