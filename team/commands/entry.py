"""Where the commands `scheduler` and `team` start: what leads runs hides its environment before it loads anything."""

from __future__ import annotations

import sys

_SHOW = ["hook", "show"]
_LEADING = {"scheduler": {"tick", "sprint", "run"}, "team": {"console", "dispatch", "replay", "try", "worker"}}


def scheduler() -> None:
    """Run the command `scheduler`."""
    _hide("scheduler")
    from .scheduler import main

    main()


def team() -> None:
    """Run the command `team`."""
    if sys.argv[1:3] == _SHOW and "--help" not in sys.argv and "-h" not in sys.argv:
        from ..hooks.show import main as show

        show()
        return
    _hide("team")
    from .team import main

    main()


def _hide(command: str) -> None:
    if _LEADING[command] & {*sys.argv[1:]}:
        from ...personas.hidden import hidden, hide

        hide()
        if of_libpq := {name: value for name, value in hidden().items() if name.startswith("PG")}:
            from ...mail.remote.place import GIVEN

            GIVEN.update(of_libpq)
