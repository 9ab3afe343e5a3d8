"""The team as an offered run sees it on its worker: the leader's roster, rules and mail, and this host's own means."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

from ...mail.mailbox import Mailbox
from ...mail.open import with_log
from ...personas.roster import Roster
from ..context import Context
from ..runs.launch import Launch
from ..runs.mail import RunMail
from .handed import Handed


class GivenMail(RunMail):
    """The mail of a run whose leader has chosen it."""

    def __init__(self, context: Context, mail: Sequence[str]) -> None:
        super().__init__(context)
        self._mail = [*mail]

    def of(self, launch: Launch) -> list[str]:
        """Return the ids of the messages for a run."""
        del launch
        return self._mail


def context_of(context: Context, handed: Handed) -> Context:
    """Return the context of a run: who is in the team, and by which rules, is the leader's word.

    Agents, secrets, prices, and how a workspace is prepared are those of this host.
    """
    settings = context.settings.model_copy(update={"team": handed.team_settings, "sprint": handed.sprint_settings})
    mailbox = _of_session(context.mailbox, handed.session)
    return replace(context, roster=Roster(handed.roster), settings=settings, mailbox=mailbox)


def _of_session(mailbox: Mailbox, session: str | None) -> Mailbox:
    """Return the mailbox with a log that writes in the name of a session."""
    if mailbox.log.session == session:
        return mailbox
    log = copy.copy(mailbox.log)
    log.session = session
    return with_log(mailbox, log)
