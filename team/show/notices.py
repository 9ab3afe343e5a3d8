"""Notices in lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from ...mail.text.units import counted
from ..api.outside.notices import Delivered, Tested


def delivered(done: Delivered) -> Iterator[str]:
    """Yield a line for each endpoint, and one for each attempt that failed."""
    if not done.endpoints:
        yield "nobody is to be told anything: write [notify.NAME] into team.toml"
    for sent in done.endpoints:
        waits = f", {counted(sent.waiting, 'notice')} to be sent later" if sent.waiting else ""
        yield f"{sent.name}: {counted(sent.taken, 'notice')} sent{waits}"
        for why in sent.failed:
            yield f"  failed: {why}"


def tested(done: Tested) -> str:
    """Return what came of a test."""
    return f"{done.name}: it arrived" if done.arrived else f"{done.name}: it did not arrive: {done.answer.why}"
