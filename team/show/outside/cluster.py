"""A log on a server, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from ....mail.text.units import counted
from ..tables import span

if TYPE_CHECKING:
    from ...api.outside.cluster import Cluster, Local, Moved


def cluster(each: Cluster) -> Iterator[str]:
    """Say what a server has of the team's log, and what to do about it."""
    state = each.state
    yield f"{each.address}: PostgreSQL {state.server}"
    if not state.version:
        yield "no schema of a team: `team cluster init`"
    else:
        was = "" if each.before in {None, state.version} else f", was {each.before or 'none'}"
        yield f"schema version {state.version}{was}: {counted(state.events, 'event')}, {counted(state.blobs, 'blob')}"
        yield from _led(each)
        if state.closed:
            yield f"closed: {state.closed}"
    for advice in each.advice:
        yield f"- {advice}"


def _led(each: Cluster) -> Iterator[str]:
    state = each.state
    if state.leader:
        yield f"led from {state.leader} in epoch {state.epoch}, for {state.rest:.0f} s more, and renewed until it ends"
    else:
        yield "nobody leads it just now" if state.epoch else "nobody has led it yet"
    for process in each.there:
        what = dict(process.what)
        kind = what.pop("is", None) or what.pop("does", "process")
        more = "".join(f", {name} {_listed(value)}" for name, value in what.items() if value not in ([], ""))
        since = f"gone for {span(-process.rest)}" if process.gone else f"there for {span(process.age)}"
        yield f"- {process.host}: {kind} {process.process.get('pid')}{', leads' * bool(process.epoch)}{more}, {since}"
    for role, persona in each.grants:
        yield f"- {role} may write as {persona}"


def _listed(value: object) -> str:
    return ", ".join(map(str, cast("list[object]", value))) if isinstance(value, list) else str(value)


def local(each: Local) -> Iterator[str]:
    """Say where a server to try it with is, and what to do with it."""
    if not each.running:
        yield f"stopped; its data stays in {each.folder}"
        return
    yield f"PostgreSQL runs in {each.folder}; `team cluster down --local` stops it"
    yield "new team: write this into .team/team.toml; one with mail: `team log migrate --to` this url"
    yield f'[log]\nurl = "{each.url}"'


def moved(each: Moved) -> Iterator[str]:
    """Say what was copied, and what has to stand in team.toml now."""
    done = each.done
    held = f"{counted(done.events, 'event')} and {counted(done.blobs, 'blob')}"
    yield f"{held} are in {each.to}; {done.copied} copied now"
    yield "nothing is written until you do this:"
    if each.line.startswith("["):
        yield "write into .team/team.toml:"
    yield each.line
