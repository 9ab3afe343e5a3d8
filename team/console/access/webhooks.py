"""Webhooks that come in, signed as Standard Webhooks has it: believed once, and only for commands."""

from __future__ import annotations

import hmac
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from ....mail.clock import Clock, SystemClock
from ....mail.log.disk import read_file, reason_of
from ....personas.web.secret import read_secret
from ....scheduler.errors import SettingsError
from ....scheduler.notify.signature import TOLERANCE, parse_secrets, refusal
from .caller import Caller, Scope

HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
_LEAST = 16  # characters of the secret of a forge
_MOST = 100_000  # ids that are remembered


class Webhooks:
    """What came in lately, so that none is believed twice. Threads share it."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def why_not(self, secret_file: str | None, headers: Mapping[str, str], body: bytes) -> str:
        """Say why a webhook is not believed, "" if it is; then it is not believed again. Raises SettingsError."""
        if secret_file is None:
            return "this team takes no webhooks: [console] secret_file in team.toml names their secret"
        now = self._clock.now().timestamp()
        if why := refusal(read_secrets(Path(secret_file)), headers, body, now):
            return why
        own = headers["webhook-id"]
        with self._lock:
            while self._seen and (len(self._seen) >= _MOST or next(iter(self._seen.values())) < now - 2 * TOLERANCE):
                self._seen.popitem(last=False)
            if own in self._seen:
                return "it came before"
            self._seen[own] = now
        return ""


def why_not_of_forge(secret_file: str | None, signature: str, body: bytes) -> str:
    """Say why a webhook of GitHub is not believed, "" if it is: its signature is one of the body by the shared secret.

    One that comes again is believed again, since all that it does is to have somebody look. Raises SettingsError.
    """
    if secret_file is None:
        return "this team takes none: [github] webhook_secret_file in team.toml names their secret"
    try:
        secret = read_secret(Path(secret_file)).strip().encode()
    except ValueError as error:
        raise SettingsError(f"github.webhook_secret_file {error}") from None
    if len(secret) < _LEAST:
        raise SettingsError(f"github.webhook_secret_file must hold a secret of at least {_LEAST} characters")
    wanted = "sha256=" + hmac.digest(secret, body, "sha256").hex()
    believed = hmac.compare_digest(wanted.encode(), signature.encode(errors="replace"))
    return "" if believed else "the signature is not one by the secret of this team"


def webhook_caller(sender: str) -> Caller:
    """Return who sends a webhook that is believed."""
    return Caller(sender, frozenset({Scope.COMMANDS}), token="webhook")  # noqa: S106 - a name


def read_secrets(path: Path) -> tuple[bytes, ...]:
    """Read the secrets of webhooks. Raises SettingsError."""
    try:
        return parse_secrets(read_file(path, follow=True).decode())
    except OSError as error:
        raise SettingsError(f"console.secret_file: cannot read {path}: {reason_of(error)}") from None
    except ValueError as error:
        raise SettingsError(f"console.secret_file: {path} {error}") from None
