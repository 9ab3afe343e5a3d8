"""The typed inputs of `coder` and `debug`. Every other persona takes any object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from ..problems import Path, Problems
from .references import has_reference
from .task import Listed, Table, read_table

_Text = Annotated[str, Field(min_length=1)]
_Texts = Annotated[tuple[_Text, ...], Listed]


class CoderInput(Table):
    """The input of `coder`, which writes a module."""

    contract_description: _Text
    node_type: Literal["Effect", "Compute", "Reducer", "Orchestrator"]
    output_path: _Text
    context_files: _Texts = ()
    validation_level: Literal["strict", "moderate", "lenient"] = "moderate"


class DebugInput(Table):
    """The input of `debug`, which finds the cause of a problem."""

    problem_description: _Text
    affected_files: _Texts
    error_traces: _Texts = ()
    analysis_depth: Literal["quick", "standard", "deep"] = "standard"
    hypothesis: str | None = None


INPUTS: Mapping[str, type[Table]] = {"coder": CoderInput, "debug": DebugInput}


def check_input(agent: str, input_data: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the input of a task for `agent`, one line for each mistake.

    A text that holds a reference passes, as its value is not known yet.
    """
    problems = Problems()
    check_typed(agent, input_data, ("input_data",), problems)
    return problems.messages()


def check_typed(agent: str, input_data: Mapping[str, Any], path: Path, problems: Problems) -> None:
    """Add what is wrong with the input at `path`."""
    if model := INPUTS.get(agent):
        read_table(model, input_data, path, problems, f"{agent}'s input", passes=_holds_reference)


def _holds_reference(value: Any) -> bool:
    return isinstance(value, str) and has_reference(value)
