"""The set-up of workspaces as the settings say it: for runs and gates, and looked at before anything starts."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..mail.log.blobs import Blobs
from ..personas.environment import unfilled
from ..personas.setup.caches import tracked_caches
from ..personas.setup.copies import find_copies, is_tracked
from ..personas.setup.preparation import PLACEHOLDERS, Prepared, SetUp
from ..personas.setup.slots import FOLDER, Slots
from .context import Context

_MOST_NAMES = 500  # in an event
_DETAIL = 500  # characters


@dataclass(frozen=True)
class SetUpPreview:
    """What every workspace would get: files of the checkout, shared folders, and commands.

    `notes` has one line for everything that is asked for and would not be there.
    """

    copies: tuple[str, ...] = ()
    caches: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the object `setup` of a dry run in JSON."""
        commands = [[*command] for command in self.commands]
        return {"copy": [*self.copies], "cache": [*self.caches], "run": commands, "notes": [*self.notes]}


NO_SETUP = SetUpPreview()


def setup_of(context: Context) -> SetUp:
    """Return what the settings say of workspaces."""
    table = context.settings.workspace
    return SetUp(table.setup, table.setup_timeout, table.setup_inputs, table.copies, table.cache)


def slots_of(context: Context) -> Slots:
    """Return the slots that runs and gates of the team share. Raises UsageError if there is no place for them."""
    table = context.settings.workspace
    return Slots(context.mirror.root / FOLDER, table.port, table.ports)


def look_at_setup(context: Context) -> SetUpPreview:
    """Find out what workspaces would get now; nothing is written. Raises GitError."""
    setup = setup_of(context)
    copies = find_copies(context.top, setup.copies)
    notes = [*copies.notes, *tracked_caches(context.top, setup.caches), *_idle_inputs(context, setup)]
    return SetUpPreview(copies.files, setup.caches, setup.commands, tuple(notes))


def _idle_inputs(context: Context, setup: SetUp) -> Iterator[str]:
    """Name the globs of inputs that match no committed file, so that no change of one is ever seen."""
    for glob in setup.inputs:
        if not is_tracked(context.top, glob):
            yield f"setup_inputs {glob!r} names no file that git tracks"


def setup_data(prepared: Prepared, blobs: Blobs) -> dict[str, Any]:
    """Store what a set-up printed; return what an event says of a workspace, empty if nothing was asked for."""
    lists = {"copied": prepared.copied, "caches": prepared.caches, "notes": prepared.notes}
    data: dict[str, Any] = {name: [*texts[:_MOST_NAMES]] for name, texts in lists.items() if texts}
    if prepared.reused:
        data["reused"] = True
    if outcome := prepared.outcome:
        data |= {"status": outcome.status, "exit": outcome.exit, "seconds": round(outcome.seconds, 3)}
        data |= {"detail": outcome.detail[:_DETAIL], "output": blobs.put(prepared.output)._asdict()}
    return data


def setup_troubles(context: Context) -> list[str]:
    """Say why there can be no workspaces, and name the commands of the set-up that cannot run, one line each."""
    trouble, commands = context.mirror.trouble(), context.settings.workspace.setup
    unknown = [why for command in commands if (why := unfilled(command, PLACEHOLDERS))]
    missing = [
        f"set-up: {command[0]!r} is not in PATH; install it, or correct setup in [workspace] ({shlex.join(command)})"
        for command in commands
        if "/" not in command[0] and "{" not in command[0] and shutil.which(command[0]) is None
    ]
    return [*([trouble] if trouble else []), *(f"set-up: {why}" for why in unknown), *missing]
