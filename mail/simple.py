"""Mail in one line each, for scripts and notebooks. The team is the nearest `.team`, or `TEAM_HOME`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .directory import no_program
from .errors import TeamMailError, UsageError
from .home import RUN_FOLDER
from .kinds import ExitCode
from .letter import Letter
from .open import first_mail, open_log, open_mailbox, team_home
from .process import ORPHAN, run_id, run_of

_ALL = "1000000"


def send_message(  # noqa: PLR0917 - the published order
    from_persona: str,
    to_persona: str,
    subject: str,
    body: str,
    attachments: Sequence[str | Path] = (),
    key: str | None = None,
) -> str:
    """Send a message and return its id once it is durable. The first one creates the team's folder.

    `to_persona` is an address: a persona, `@all`, `@group` or `@channel`. With a `key`, what was sent before is not
    sent again. In a run, `from_persona` is the run's own. Raises UnknownRecipient, KeyReused, UsageError, LogError.
    """
    files = [Path(file) for file in attachments]
    if launcher := _launcher():
        words = ["send", f"--from={from_persona}", f"--to={to_persona}", f"--subject={subject}", f"--body={body}"]
        words += [f"--attach={file}" for file in files] + ([] if key is None else [f"--key={key}"])
        return str(_asked(launcher, *words)["id"])
    letter = Letter(no_program(from_persona), [to_persona], subject, body, attachments=files, key=key, run=run_id())
    with first_mail():
        return open_mailbox(create=True).send(letter).id


def get_inbox(persona_id: str, unread_only: bool = False) -> list[dict[str, Any]]:
    """List a persona's mail, newest first, as the objects of `team-mail read --json`, bodies included.

    Nothing is marked read. In a run, `persona_id` is the run's own.
    """
    if launcher := _launcher():
        unread = ["--unread"] if unread_only else []
        return list(_asked(launcher, "inbox", "--bodies", f"--limit={_ALL}", f"--persona={persona_id}", *unread))
    mailbox = open_mailbox()
    listed = mailbox.inbox(persona_id, unread=unread_only)
    return [message.whole() for message in mailbox.with_bodies(listed)]


def mark_read(persona_id: str, message_id: str) -> None:
    """Mark a message read for a persona. Raises UnknownMessage, and UsageError if the persona did not receive it.

    In a run, `persona_id` is the run's own.
    """
    if launcher := _launcher():
        _asked(launcher, "read", message_id, f"--persona={persona_id}")
        return
    open_mailbox().mark(persona_id, "read", [message_id], run_id())


def events() -> Any:
    """Return the team's log, as of now, as an Ibis table on DuckDB."""
    from .query.table import bound_events

    return bound_events(open_log())


def _launcher() -> Path | None:
    """Return the `team-mail` of the run that this process belongs to, which knows who it is; None outside of runs."""
    run = run_of(team_home(create=True))
    return Path(run.workspace) / RUN_FOLDER / "team-mail" if run and run != ORPHAN else None


def _asked(launcher: Path, *words: str) -> Any:
    """Return what the run's `team-mail` answers in JSON."""
    command = [launcher, *words, "--json"]
    try:
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError:
        raise UsageError(
            f"this process belongs to a run, and {launcher} is gone: there is no mail without it"
        ) from None
    if ended.returncode:
        error = UsageError if ended.returncode == int(ExitCode.USAGE) else TeamMailError
        raise error(ended.stderr.strip().removeprefix("team-mail: "))
    return json.loads(ended.stdout)
