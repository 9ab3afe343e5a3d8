"""A sprint's report: lines for a terminal, Markdown for a page, and a folder with both the figures and the pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from ...mail.render import line
from ...mail.units import counted
from ...scheduler.kinds import PatchStatus
from ...scheduler.state.metrics import Metrics
from . import chart
from .tables import cell, columns, markdown_table, patches, span

_SHORT = 12
_FATES = ("conflicted", "rejected", "refused", "held", "dropped", "pending")


# -- lines


def lines(found: Metrics) -> Iterator[str]:
    """Tell a sprint's figures to a terminal or a pipe."""
    yield heading(found)
    yield ""
    yield from columns([*figures(found)])
    if found.landing_order:
        yield ""
        yield "landing order:"
        yield from columns(_landing(found))
    if found.personas:
        yield ""
        yield "time by persona:"
        yield from columns(_shares(found))


def heading(found: Metrics) -> str:
    """Say in one line what came of the sprint."""
    outcome = {"converged": "converged", None: "is still open"}.get(found.outcome, f"ended: {found.outcome}")
    return f"sprint {found.sprint} {outcome} after {counted(found.ticks, 'tick')}, {found.mode} ({line(found.rule)})"


def figures(found: Metrics) -> Iterator[tuple[str, str]]:
    """List the figures, each with its name."""
    yield "runs", str(sum(found.runs.values())) + _listed(found.runs)
    fates = {fate: found.patches[fate] for fate in (PatchStatus.LANDED, *_FATES) if fate in found.patches}
    yield "patches", f"{found.offered} offered" + _listed(fates)
    if found.conflict_rate is not None:
        clashed = found.patches.get(PatchStatus.CONFLICTED, 0)
        yield "conflict rate", f"{found.conflict_rate:.0%} ({clashed} of {patches(found.offered)})"
    if found.resolutions:
        yield "resolved", _resolved(found)
    if found.unresolved:
        yield "unresolved", ", ".join(found.unresolved)
    yield "wall time", span(found.wall)
    yield "busy time", f"{span(found.busy)}, the sum of all runs" + _unknown(found)
    yield from _speedup(found)
    if found.mails:
        yield "mail", f"{sum(found.mails.values())} sent" + _listed(found.mails)


def _resolved(found: Metrics) -> str:
    told = f"{len(found.resolved)} of {counted(len(found.resolutions), 'conflict')}"
    if not found.resolved:
        return told
    return f"{told}, in {fmean(found.resolved):.1f} ticks on average, {max(found.resolved)} at most"


def _unknown(found: Metrics) -> str:
    lost = found.runs.get("lost", 0)
    return f"; of {counted(lost, 'lost run')} nobody knows how long it worked" if lost else ""


def _speedup(found: Metrics) -> Iterator[tuple[str, str]]:
    """Tell the speed-up over sequential mode: as estimated, and as measured if there is something to measure it by."""
    if (estimate := found.estimated_speedup) is not None:
        yield "speed-up", f"{estimate:.1f} times over sequential, estimated: busy time / wall time"
    if measured := found.measured:
        took = f"{counted(measured.ticks, 'tick')} and {span(measured.seconds)}"
        yield "", f"{measured.ratio:.1f} times, measured: sprint {measured.sprint} took {took} in sequence"


def _landing(found: Metrics) -> list[tuple[str, ...]]:
    rows = [
        (str(number), node.persona, str(node.attempt), str(node.tick), (node.commit or "")[:_SHORT])
        for number, node in enumerate(found.landing_order, 1)
    ]
    return [("", "persona", "attempt", "tick", "commit"), *rows]


def _shares(found: Metrics) -> list[tuple[str, ...]]:
    rows = [
        (share.persona, str(share.runs), span(share.seconds), span(share.waiting), share.outcome)
        for share in found.personas
    ]
    return [("persona", "runs", "working", "waiting", "outcome"), *rows]


def _listed(counts: Mapping[str, int]) -> str:
    return ": " + ", ".join(f"{count} {line(name)}" for name, count in counts.items()) if counts else ""


# -- Markdown


def markdown(found: Metrics, pictures: Sequence[str] = ()) -> str:
    """Write the report as a page; `pictures` are the names, without ending, of those that lie beside it."""
    told = cell(heading(found))
    parts = [f"# Sprint {found.sprint}", f"{told[0].upper()}{told[1:]}.", markdown_table([("", ""), *figures(found)])]
    parts += [f"![{name}]({name}.svg)" for name in pictures]
    if found.landing_order:
        parts += ["## Landing order", markdown_table(_landing(found))]
    if found.links:
        parts += ["## In each other's way", markdown_table([("", "", "files"), *_links(found)])]
    if found.personas:
        parts += ["## Time by persona", markdown_table(_shares(found))]
    return "\n\n".join(parts) + "\n"


def _links(found: Metrics) -> Iterator[tuple[str, ...]]:
    names = {node.run: f"{node.persona} ({node.status})" for node in found.nodes}
    return ((names[link.one], names[link.other], ", ".join(link.files)) for link in found.links)


# -- a folder


def write(found: Metrics, folder: Path) -> tuple[list[Path], str | None]:
    """Write report.md, report.json and the pictures; return what was written, and why there are no pictures if so."""
    specs = {"timeline": chart.timeline(found), "landing": chart.landing(found)}
    trouble = chart.trouble()
    files = {
        "report.md": markdown(found, () if trouble else [*specs]).encode(),
        "report.json": (json.dumps(found.document(), indent=2, ensure_ascii=False) + "\n").encode(),
    }
    if trouble is None:
        files |= {f"{name}.svg": chart.svg(spec) for name, spec in specs.items()}
        files |= {f"{name}.png": chart.png(spec) for name, spec in specs.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in files], trouble
