"""A forge on loopback: the part of GitHub's REST API that team-mail uses, and git over HTTP, for one repository.

    python -m team_mail.team.forge.fake --from . octo/app

serves a copy of the repository here and prints the lines for `team.toml`. In a test, `with FakeForge(folder) as forge`
does the same, and `forge.refuse` makes it answer as a forge that has had enough, is broken, or dies half way.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self, cast
from urllib.parse import parse_qsl, urlsplit
from urllib.request import Request, urlopen

from .backend import serve
from .pages import Response, paged
from .repository import Invalid, Repository
from .routes import Asked, answer
from .server import API, Doors, handler

_QUOTA = 5_000  # calls in an hour
PEOPLE = {"team-bot": "COLLABORATOR", "octo": "OWNER", "stranger": "NONE"}


class Call(NamedTuple):
    """A request that came to the API."""

    method: str
    path: str
    headers: Mapping[str, str]
    status: int


@dataclass
class Refusal:
    """What the next call that fits is answered instead: `status` 0 cuts the connection, after it had its effect.

    `times` says how many calls are answered so.
    """

    method: str
    path: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    message: str = ""
    times: int = 1


class FakeForge:
    """Serves while it is entered. `tokens` maps the token of each person to the login.

    `calls` are those that came to the API; those that a 304 answered do not count towards `used`.
    """

    def __init__(
        self, folder: Path, name: str = "octo/app", source: Path | None = None, port: int = 0,
        people: Mapping[str, str] = PEOPLE,
    ) -> None:  # fmt: skip
        owner, _, own = name.partition("/")
        self.repository = Repository(folder, owner, own, dict(people))
        self.repository.make(source)
        self.tokens = {f"token-of-{login}": login for login in people}
        self.calls: list[Call] = []
        self.refusals: list[Refusal] = []
        self.used = 0
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler(Doors(self.respond, self._git)))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.api = self.url + API

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def run(self) -> None:
        """Serve until the process is interrupted."""
        self._server.serve_forever()

    def settings(self, token_file: str) -> str:
        """Return the table of `team.toml` that leads here."""
        repository = self.repository
        return (
            f'[github]\nrepo = "{repository.owner}/{repository.name}"\napi = "{self.api}"\n'
            f'token_file = "{token_file}"\n'
        )

    def refuse(self, method: str, path: str, status: int, message: str = "", times: int = 1, **headers: str) -> None:
        """Answer the next calls whose path ends so in another way; a header `Retry_After` is written `Retry-After`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.refusals.append(Refusal(method, path, status, named, message, times))

    def deliver(self, url: str, event: str, payload: Mapping[str, Any], secret: bytes) -> int:
        """Send a webhook as GitHub signs it, and return the status of the answer."""
        body = json.dumps(payload).encode()
        headers = {
            "Content-Type": "application/json", "X-GitHub-Event": event,
            "X-GitHub-Delivery": f"{self.repository.new_id()}",
            "X-Hub-Signature-256": "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest(),
        }  # fmt: skip
        with urlopen(Request(url, body, headers, method="POST"), timeout=10) as got:  # noqa: S310 - a test's own URL
            return got.status

    def respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer a call of the API."""
        parts = urlsplit(target)
        path, query = parts.path.removeprefix(API), dict(parse_qsl(parts.query))
        login = self.tokens.get(headers.get("Authorization", "").removeprefix("Bearer ").strip())
        with self.lock:
            refusal = next((each for each in self.refusals if each.method == method and path.endswith(each.path)), None)
            if refusal:
                refusal.times -= 1
                self.refusals = [each for each in self.refusals if each.times]
            if refusal and refusal.status:
                response = Response(refusal.status, dict(refusal.headers), {"message": refusal.message})
            elif login is None:
                response = Response(401, {}, {"message": "Bad credentials"})
            else:
                response = self._answered(method, path, Asked(login, query, _given(body)))
            left = str(max(0, _QUOTA - self.used))
            response = paged(response, f"{self.url}{parts.path}", query, headers.get("If-None-Match"))
            limits = {"X-RateLimit-Limit": str(_QUOTA), "X-RateLimit-Remaining": left}
            response = response._replace(headers=limits | dict(response.headers))
            if refusal and not refusal.status:
                response = response._replace(status=0)
            self.used += response.status != 304  # noqa: PLR2004
            self.calls.append(Call(method, path, headers, response.status))
        return response

    def _git(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer a request of git, from whoever gives a token as password."""
        kind, _, code = headers.get("Authorization", "").partition(" ")
        password = base64.b64decode(code).decode().partition(":")[2] if kind == "Basic" else ""
        if not (who := self.tokens.get(password)):
            return Response(401, {"WWW-Authenticate": 'Basic realm="forge"'}, b"")
        parts = urlsplit(target)
        with self.lock:
            self.repository.refresh()
            return Response(*serve(self.repository.folder, method, parts.path, parts.query, headers, body, who))

    def _answered(self, method: str, path: str, asked: Asked) -> Response:
        try:
            status, value = answer(self.repository, method, path, asked)
            return Response(status, {}, value)
        except Invalid as error:
            value = {"message": str(error), "errors": error.errors} if error.errors else {"message": str(error)}
            return Response(error.status, {}, value)


def _given(body: bytes) -> Mapping[str, Any]:
    try:
        value: Any = json.loads(body) if body else {}
    except ValueError:
        raise Invalid(400, "Problems parsing JSON") from None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def main(words: list[str] | None = None) -> None:
    """Serve a fake forge until it is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m team_mail.team.forge.fake", description=__doc__)
    parser.add_argument("name", nargs="?", default="octo/app", help="OWNER/NAME of its repository")
    parser.add_argument("--from", dest="source", type=Path, help="a repository whose branches it begins with")
    parser.add_argument("--folder", type=Path, help="where its own is made; by default a temporary folder")
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="team-mail-forge-") as temporary:
        folder = given.folder or Path(temporary)
        forge = FakeForge(folder, given.name, given.source and given.source.absolute(), given.port)
        token_file = folder / "token"
        token_file.write_text("token-of-team-bot\n")
        token_file.chmod(0o600)
        logins = ", ".join(f"{token} ({forge.repository.people[login]})" for token, login in forge.tokens.items())
        sys.stdout.write(f"{forge.settings(str(token_file))}\n# tokens: {logins}\n")
        sys.stdout.flush()
        try:
            forge.run()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
