"""Cases of which `make test` runs a sample, and the storm the rest."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest

STORM = pytest.mark.storm
TIMES = int(os.environ.get("EXAMPLES", "1"))


def each_once(first: Sequence[Any], second: Sequence[Any], *, plain: bool = False) -> list[Any]:
    """Return all pairs; `make test` runs those that meet each value of both once, and the storm the rest.

    With `plain`, it runs each of `first` with the first one of `second`, too. A tuple stands for several arguments.
    """
    chosen = {(number % len(first), number % len(second)) for number in range(max(len(first), len(second)))}
    chosen |= {(number, 0) for number in range(len(first)) if plain}
    return [
        pytest.param(*_flat(one), *_flat(other), marks=() if (at, place) in chosen else STORM)
        for (at, one), (place, other) in product(enumerate(first), enumerate(second))
    ]


def _flat(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def examples(count: int) -> int:
    """Return how many examples of a property are tried: so many, or EXAMPLES times as many, as the storm asks for."""
    return count * TIMES
