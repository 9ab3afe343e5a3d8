"""The tables of what the team tells others: notices, files of diagnostics, traces for a collector."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from ...mail.kinds import MailKind
from ...mail.text.nearest import nearest
from ..kinds import NEEDS_ME, NOTICES, Kind
from .supervision import Table
from .values import Command, EndpointUrl, LinkUrl, Size

_SMALLEST = 64 << 10  # bytes of a file: several of the longest lines
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


def _log_file(path: str) -> str:
    if "{pid}" not in path.rpartition("/")[2] or "\0" in path or "{" in path.rpartition("/")[0]:
        raise ValueError(
            'must hold {pid} in its name, so that each file has one writer: ".team/logs/{program}-{pid}.jsonl"'
        )
    return path


def _log_size(size: int) -> int:
    if size < _SMALLEST:
        raise ValueError('must be at least "64KiB"')
    return size


class LoggingSettings(Table):
    """`[logging]`: the file of diagnostics, its size before a new one is begun, and how many complete ones stay."""

    file: Annotated[str, AfterValidator(_log_file)] | None = None
    rotate: Annotated[Size, AfterValidator(_log_size)] = 10_000_000
    keep: Annotated[int, Field(ge=1, le=1_000_000)] = 5
    level: Literal["debug", "info", "warning", "error"] = "info"


class LogSettings(Table):
    """`[log]`: where the log is, if not in the team's folder, and the name of this team's schema there.

    Mail reads them, too, and without pydantic: `read_log` in `mail/team_file.py`.
    """

    url: Annotated[str, Field(min_length=1)] | None = None
    name: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,39}$")] = "team_mail"


class OtelSettings(Table):
    """`[otel]`: the collector that traces are sent to, as OTLP over HTTP, and a file with headers for it."""

    endpoint: EndpointUrl | None = None
    headers_file: Annotated[str, Field(min_length=1)] | None = None
