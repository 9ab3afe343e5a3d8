"""The figures of a team for a monitoring system."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ....scheduler.appends import read_appended
from ....scheduler.context import Context
from ....scheduler.leader import leading_anywhere
from ....scheduler.state.figures import Family, Standing, read_figures
from ....scheduler.state.reading import read_going

_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


@dataclass(frozen=True)
class Figures:
    """Families of values, in the order in which they are shown."""

    families: tuple[Family, ...]

    def document(self) -> dict[str, list[dict[str, Any]]]:
        """Return the JSON object of `team metrics --json`: by name, each value with its labels."""
        return {
            family.name: [{"labels": dict(labels), "value": value} for labels, value in family.values.items()]
            for family in self.families
        }

    def prometheus(self) -> Iterator[str]:
        """Yield the lines of the text format of Prometheus, version 0.0.4, values sorted by their labels."""
        for family in self.families:
            yield f"# HELP {family.name} {family.help}"
            yield f"# TYPE {family.name} {family.kind}"
            for labels, value in sorted(family.values.items()):
                named = ",".join(f'{name}="{text.translate(_ESCAPED)}"' for name, text in labels)
                yield f"{family.name}{'{' + named + '}' if named else ''} {_number(value)}"


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def metrics(context: Context) -> Figures:
    """Return the figures of a team; nothing is written."""
    projections, mailbox = context.mailbox.projections, context.mailbox
    is_led = leading_anywhere(context.home / "work", mailbox.log) is not None
    standing = Standing(
        read_going(projections, None), is_led, mailbox.log.head().seq, read_appended(context.home)
    )  # fmt: skip
    roster = sorted({*(mailbox.directory.personas or ()), context.settings.team.human})
    return Figures(tuple(read_figures(projections, roster, standing, context.clock.now())))
