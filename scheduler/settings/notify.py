"""The tables of what leaves the team: notices to people and other programs."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from ...mail.kinds import MailKind
from ...mail.text.nearest import nearest
from ..kinds import NEEDS_ME, NOTICES, Kind
from .supervision import Table
from .urls import EndpointUrl, LinkUrl
from .values import Command

_KINDS = frozenset({*Kind, *MailKind}) - NOTICES  # a notice of each notice would never end
_USES = {
    "webhook": ("url", "secret_file"),
    "ntfy": ("url", "secret_file"),
    "desktop": (),
    "command": ("command",),
}
_EXAMPLES = {
    "url": '"https://example.org/hook"',
    "secret_file": '"../hook.secret", a file that openssl rand -base64 32 fills',
    "command": '["./notice.sh"]',
}


def _occasion(name: str) -> str:
    if name != NEEDS_ME and name not in _KINDS:
        close = nearest(name, sorted({NEEDS_ME, *_KINDS}), most=1)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(f'is {name!r}, and must be "{NEEDS_ME}" or a kind of event{meant}')
    return name


Occasion = Annotated[str, AfterValidator(_occasion)]


class NotifySettings(Table):
    """`[notify.NAME]`: where a notice goes, and on what occasions.

    A webhook is signed with the secrets in `secret_file`, and ntfy gets the token there if one is named. `console` is
    what a notice links to.
    """

    kind: Literal["webhook", "ntfy", "desktop", "command"]
    url: EndpointUrl | None = None
    secret_file: Annotated[str, Field(min_length=1)] | None = None
    command: Command | None = None
    on: Annotated[tuple[Occasion, ...], Field(min_length=1)] = (NEEDS_ME,)
    console: LinkUrl | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        fitting = _USES[self.kind]
        for name in ("url", "secret_file", "command"):
            given = getattr(self, name) is not None
            if given and name not in fitting:
                raise ValueError(f'says {name}, which kind "{self.kind}" has no use for; leave it out')
            if not given and name in fitting and (self.kind, name) != ("ntfy", "secret_file"):
                raise ValueError(f'says no {name}, which kind "{self.kind}" needs: write {name} = {_EXAMPLES[name]}')
        if self.kind == "ntfy" and not urlsplit(self.url or "").path.strip("/"):
            raise ValueError('says no topic: write it behind the address, as in url = "https://ntfy.sh/my-team"')
        return self
