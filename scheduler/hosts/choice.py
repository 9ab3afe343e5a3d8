"""Who carries out the runs of a team: its workers if the settings say that runs are offered, else this machine."""

from __future__ import annotations

from ..context import Context
from ..progress import Listener
from ..runs.local import LocalRunner
from ..runs.run import Runner
from ..runs.watch import Watch
from .remote import RemoteRunner


def runner_for(context: Context, watch: Watch, listener: Listener) -> Runner:
    """Return what carries out the runs of a team."""
    return (RemoteRunner if context.settings.workers.offer else LocalRunner)(context, watch, listener)
