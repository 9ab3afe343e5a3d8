"""The report of a sprint: as text, as Markdown, and as a folder with figures and pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from ...mail.render import line
from ...mail.text.units import counted
from ...scheduler.kinds import PatchStatus, RunStatus, SprintOutcome
from ...scheduler.state.metrics import Metrics
from ...scheduler.state.usage import UsageTotal, shortened_count
from .charts import chart, cost_chart
from .tables import cell, columns, markdown_table, span

_SHORT = 12
_DANGLING = ("name", "now", "removed by", "used by", "where")
_FATES: tuple[str, ...] = (
    PatchStatus.LANDED, PatchStatus.PRESENT, PatchStatus.CONFLICTED, PatchStatus.REJECTED, PatchStatus.REFUSED,
    PatchStatus.HELD, PatchStatus.DROPPED, PatchStatus.PENDING,
)  # fmt: skip


# -- lines


def lines(metrics: Metrics) -> Iterator[str]:
    """Write a sprint's figures for a terminal or a pipe."""
    yield heading(metrics)
    yield ""
    yield from columns([*figures(metrics)])
    if metrics.landing_order:
        yield ""
        yield "landing order:"
        yield from columns(_landing(metrics))
    if metrics.dangling:
        yield ""
        yield "gone and still used, as far as can be read from the patches:"
        yield from columns([_DANGLING, *_dangling(metrics)])
    if metrics.personas:
        yield ""
        yield "time and money by persona:"
        yield from columns(_shares(metrics))


def heading(metrics: Metrics) -> str:
    """Summarize the sprint in one line."""
    ends: dict[str | None, str] = {SprintOutcome.CONVERGED: "converged", None: "is still open"}
    outcome = ends.get(metrics.outcome, f"ended: {metrics.outcome}")
    mode = f"{metrics.mode} ({line(metrics.rule)})"
    return f"sprint {metrics.sprint} {outcome} after {counted(metrics.ticks, 'tick')}, {mode}"


def figures(metrics: Metrics) -> Iterator[tuple[str, str]]:
    """Yield the figures, each with its name."""
    yield "runs", str(sum(metrics.runs.values())) + _listed(metrics.runs)
    fates = {fate: metrics.patches[fate] for fate in _FATES if fate in metrics.patches}
    yield "patches", f"{metrics.offered} offered" + _listed(fates)
    if metrics.conflict_rate is not None:
        clashed = metrics.patches.get(PatchStatus.CONFLICTED, 0)
        yield "conflict rate", f"{metrics.conflict_rate:.0%} ({clashed} of {counted(metrics.offered, 'patch')})"
    if metrics.resolutions:
        yield "resolved", _resolved(metrics)
    if metrics.unresolved:
        yield "unresolved", ", ".join(metrics.unresolved)
    if metrics.unjudged:
        yield "not judged", f"by gate {', '.join(metrics.unjudged)}, which fails without any patch"
    yield "wall time", span(metrics.wall)
    yield "busy time", f"{span(metrics.busy)}, the sum of all runs" + _unknown(metrics)
    if metrics.setups:
        yield (
            "set-up",
            f"{span(sum(metrics.setups))} in {counted(len(metrics.setups), 'workspace')}, before their agents",
        )
    yield "money", metrics.usage.money_text + _per_patch(metrics)
    yield "tokens", metrics.usage.tokens_text + _tokens(metrics.usage)
    yield from _speedup(metrics)
    if metrics.mails:
        yield "mail", f"{sum(metrics.mails.values())} sent" + _listed(metrics.mails)


def _resolved(metrics: Metrics) -> str:
    share = f"{len(metrics.resolved)} of {counted(len(metrics.resolutions), 'conflict')}"
    if not metrics.resolved:
        return share
    return f"{share}, in {fmean(metrics.resolved):.1f} {metrics.turn}s on average, {max(metrics.resolved)} at most"


def _per_patch(metrics: Metrics) -> str:
    landed = len(metrics.landing_order)
    if metrics.usd_per_patch is None:
        return ""
    return f"; {metrics.usage.money_each(landed)} for each of {counted(landed, 'patch')} that landed"


def _tokens(used: UsageTotal) -> str:
    """Say which tokens these are, and of how many runs they are not known."""
    if used.tokens is None:
        return ""
    cached = "" if used.cached is None else f" ({used.cached_text} of them cached)"
    untold = f"; not all is known of {counted(used.tokens_unknown, 'run')}" if used.tokens_unknown else ""
    return f": {shortened_count(used.input or 0)} given{cached}, {shortened_count(used.output or 0)} written{untold}"


def _unknown(metrics: Metrics) -> str:
    lost = metrics.runs.get(RunStatus.LOST, 0)
    return f"; of {counted(lost, 'lost run')} nobody knows how long it worked" if lost else ""


def _speedup(metrics: Metrics) -> Iterator[tuple[str, str]]:
    """Yield the speed-up over sequential mode: estimated, and measured if there is a sprint to compare with."""
    if (estimate := metrics.estimated_speedup) is not None:
        yield "speed-up", f"{estimate:.1f} times over sequential, estimated: busy time / wall time"
    if measured := metrics.measured:
        took = f"{counted(measured.ticks, 'tick')} and {span(measured.seconds)}"
        yield "", f"{measured.ratio:.1f} times, measured: sprint {measured.sprint} took {took} in sequence"


def _landing(metrics: Metrics) -> list[tuple[str, ...]]:
    rows = [
        (str(number), node.persona, str(node.attempt), str(node.tick), (node.commit or "")[:_SHORT])
        for number, node in enumerate(metrics.landing_order, 1)
    ]
    return [("", "persona", "attempt", metrics.turn, "commit"), *rows]


def _shares(metrics: Metrics) -> list[tuple[str, ...]]:
    rows = [
        (
            share.persona, str(share.runs), span(share.seconds), span(share.waiting), share.usage.money_text,
            share.usage.tokens_text, share.outcome,
        )
        for share in metrics.personas
    ]  # fmt: skip
    return [("persona", "runs", "working", "waiting", "money", "tokens", "outcome"), *rows]


def _listed(counts: Mapping[str, int]) -> str:
    return ": " + ", ".join(f"{count} {line(name)}" for name, count in counts.items()) if counts else ""


# -- Markdown


def markdown(metrics: Metrics, pictures: Sequence[str] = ()) -> str:
    """Write the report as a page; `pictures` are file names without suffix."""
    title = cell(heading(metrics))
    parts = [
        f"# Sprint {metrics.sprint}",
        f"{title[0].upper()}{title[1:]}.",
        markdown_table([("", ""), *figures(metrics)]),
    ]
    parts += [f"![{name}]({name}.svg)" for name in pictures]
    if metrics.landing_order:
        parts += ["## Landing order", markdown_table(_landing(metrics))]
    if metrics.links:
        parts += ["## In each other's way", markdown_table([("", "", "files"), *_links(metrics)])]
    if metrics.dangling:
        parts += ["## Gone and still used", markdown_table([_DANGLING, *_dangling(metrics)])]
    if metrics.personas:
        parts += ["## Time and money by persona", markdown_table(_shares(metrics))]
    return "\n\n".join(parts) + "\n"


def _dangling(metrics: Metrics) -> Iterator[tuple[str, ...]]:
    """Yield the names that were gone and still used after a weave."""
    for each in metrics.dangling:
        places = ", ".join(f"{line(file)}:{number}" for file, number in each.uses)
        yield line(each.name), line(each.renamed), line(each.removed_by[0]), line(each.used_by[0]), places


def _links(metrics: Metrics) -> Iterator[tuple[str, ...]]:
    names = {node.run: f"{node.persona} ({node.status})" for node in metrics.nodes}
    for link in metrics.links:
        yield names[link.run], names[link.rival], ", ".join(link.files) or "a gate fails with both"


# -- a folder


def write(metrics: Metrics, folder: Path) -> tuple[list[Path], str | None]:
    """Write report.md, report.json and the pictures; return the files, and why there are no pictures, if so."""
    specs = {"timeline": chart.timeline(metrics), "landing": chart.landing(metrics)}
    if costs := cost_chart.costs(metrics):
        specs["costs"] = costs
    trouble = chart.trouble()
    files = {
        "report.md": markdown(metrics, () if trouble else [*specs]).encode(),
        "report.json": (json.dumps(metrics.document(), indent=2, ensure_ascii=False) + "\n").encode(),
    }
    if trouble is None:
        files |= {f"{name}.svg": chart.svg(spec) for name, spec in specs.items()}
        files |= {f"{name}.png": chart.png(spec) for name, spec in specs.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in files], trouble
