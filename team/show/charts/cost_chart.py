"""The picture of a sprint's money: what each persona's runs cost, by what became of them, and what a patch cost.

Where no money is known, it shows tokens instead.
"""

from __future__ import annotations

from typing import Any

from ....mail.text.units import counted
from ....scheduler.state.metrics import Bar, Metrics, Share
from .chart import FAINT, LONGEST_LABEL, ROW, WIDTH, Spec, color_of, layer, sheet, title_of

_BEYOND = 1.35  # of the longest bar: room for the words behind it


def costs(metrics: Metrics) -> Spec | None:
    """Return the picture, a row for each persona; None if neither money nor tokens are known of any run."""
    if metrics.usage.usd is None and metrics.usage.tokens is None:
        return None
    in_money = metrics.usage.usd is not None
    personas = [share.persona for share in metrics.personas]
    parts = [part for bar in metrics.bars if (part := _part(bar, in_money=in_money))]
    ends = [_end(share, in_money=in_money) for share in metrics.personas]
    longest = max(end["amount"] for end in ends) or 1.0
    axis = {"title": "US dollars" if in_money else "tokens", "grid": False, "tickCount": 8}
    scale = {"domain": [0, longest * _BEYOND], "nice": False}
    x = {"field": "amount", "type": "quantitative", "stack": "zero", "scale": scale, "axis": axis}
    y = {"field": "persona", "type": "nominal", "sort": personas, "scale": {"domain": personas}}
    row = y | {"axis": {"title": None, "grid": True, "labelLimit": LONGEST_LABEL}}
    outcomes = list(dict.fromkeys(part["outcome"] for part in parts))
    layers = [
        layer(
            "bar", parts, {"x": x, "y": row, "color": color_of(outcomes), "order": {"field": "number"}},
            height={"band": 0.68},
        ),
        layer(
            "text", ends, {"x": x | {"stack": None}, "y": row, "text": {"field": "note"}}, align="left", dx=6,
            fontSize=10, color=FAINT,
        ),
    ]  # fmt: skip
    return sheet(title_of(metrics, _subtitle(metrics)), WIDTH, {"step": ROW}, layers)


def _part(bar: Bar, *, in_money: bool) -> dict[str, Any] | None:
    amount = bar.usage.usd if in_money else bar.usage.tokens
    if amount is None:
        return None
    return {"persona": bar.persona, "number": bar.attempt, "amount": amount, "outcome": bar.outcome}


def _end(share: Share, *, in_money: bool) -> dict[str, Any]:
    """Say behind a bar what it amounts to, and what of that each patch that landed cost."""
    amount = share.usage.usd if in_money else share.usage.tokens
    text = share.usage.money_text if in_money else share.usage.tokens_text
    if in_money and amount is not None and share.landed > 1:
        text += f", {share.usage.money_each(share.landed)} for each of {counted(share.landed, 'patch')}"
    elif in_money and amount is not None and not share.landed:
        text += ", nothing landed"
    return {"persona": share.persona, "amount": amount or 0, "note": text}


def _subtitle(metrics: Metrics) -> str:
    if metrics.usd_per_patch is None:
        return metrics.usage.text
    landed = len(metrics.landing_order)
    each = metrics.usage.money_each(landed)
    return f"{metrics.usage.text}; {each} for each of {counted(landed, 'patch')} that landed"
