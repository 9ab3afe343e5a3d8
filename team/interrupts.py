"""How a long call is ended early: its caller is given the function that ends it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

Interrupts = Callable[[Callable[[], object]], AbstractContextManager[Sequence[int]]]
"""Given the function that ends an act, returns a context manager which holds while the act goes on.

It yields the list of what interrupted the act, such as signal numbers; the list is empty if nothing did.
"""


def uninterrupted(_end: Callable[[], object]) -> AbstractContextManager[Sequence[int]]:
    """Never end the call early."""
    return nullcontext(())
