"""Programs that ask the console: tokens with scopes, signed webhooks, and the description that they read."""

from __future__ import annotations

import base64
import json
import stat
import time
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import BaseModel
from standardwebhooks import Webhook
from team_mail.mail.clock import ManualClock
from team_mail.mail.errors import LogUnavailable, NotFromRun, UsageError
from team_mail.mail.process import RunAbove
from team_mail.scheduler.errors import SettingsError
from team_mail.team.console import app
from team_mail.team.console.access.caller import Scope
from team_mail.team.console.access.tokens import Tokens
from team_mail.team.console.access.webhooks import Webhooks
from team_mail.team.console.common.route import Route
from team_mail.team.console.openapi import describe, operation_id
from team_mail.team.console.routes import ROUTES

from ...console import run_command
from .guarded import Guarded

SECRET = base64.b64encode(b"a secret of this team, of 32 byt").decode()


class Order(BaseModel):
    """A body."""

    what: str


def told(console, asked):
    """Answer who asks."""
    return {"sender": asked.sender, "token": asked.caller.token, "what": asked.body.what if asked.body else None}


OWN = (
    Route("GET", "/api/read", "Read.", told),
    Route("POST", "/api/chat", "Ask.", told, scope=Scope.CHAT, takes=Order),
    Route("POST", "/api/commands", "Command.", told, scope=Scope.COMMANDS, takes=Order),
    Route("POST", "/api/approve", "Approve.", told, scope=Scope.ACT, takes=Order),
    Route("GET", "/api/secret/{name}", "For people.", told, scope=Scope.ACT, query={"least": "The least."}),
    Route("POST", "/api/own/stop", "End one's own.", told, scope=Scope.ACT, also=Scope.CHAT, takes=Order),
)
ASKED = [(route.method, route.path.replace("{name}", "x"), route.also or route.scope) for route in OWN]
BODY = b'{"what":"x"}'


@pytest.fixture
def place(team, monkeypatch):
    """The folder of a team of ann, bob and cyd, in which this process is; the console there has routes of its own."""
    for name in ("TEAM_HOME", "TEAM_RUN", "TEAM_PERSONA", "TEAM_SESSION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(team.folder)
    monkeypatch.setattr(app, "ROUTES", OWN)
    (team.folder.parent / "inbound.secret").write_text(SECRET)
    team.context(settings='[console]\nsecret_file = "../inbound.secret"\n')
    return team


@pytest.mark.parametrize("scopes", [("read",), ("chat",), ("commands", "read"), ("chat", "commands", "read")])
def test_a_token_is_good_for_its_scopes_and_no_more(place, scopes):
    """And never for what people decide; HEAD is as GET."""
    token = Tokens(place.home).create("ci", scopes, "ann")
    console = Guarded()
    for method, path, scope in ASKED:
        answer = console(path, method, (BODY,), authorization=f"Bearer {token}")
        assert answer.status == (200 if scope in scopes else 403), (method, path)
        if scope in scopes:
            assert answer.json["sender"] == "ann"
            assert answer.json["token"] == "ci"
    assert console("/api/secret/x", "HEAD", authorization=f"Bearer {token}").status == 403
    assert {console.as_person(path, method, content_type="x").status for method, path, _ in ASKED} <= {200, 400}


def test_a_token_that_was_revoked_or_made_elsewhere_is_refused_at_once(place):
    """By a server that has believed it before; the file holds no token."""
    tokens, console = Tokens(place.home), Guarded()
    kept, gone = tokens.create("kept", ["read"], "you"), tokens.create("gone", ["read"], "you")
    assert console("/api/read", authorization=f"Bearer {gone}").status == 200
    tokens.revoke("gone")
    assert console("/api/read", authorization=f"Bearer {gone}").status == 401
    assert console("/api/read", authorization=f"Bearer {kept}").status == 200
    assert console("/api/read", authorization=f"Bearer {kept[:-1]}").status == 401
    file = place.home / "mail" / "console.tokens"
    assert kept not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert place.kinds() == [] or kept not in (place.home / "mail" / "events.jsonl").read_text()


def test_the_last_use_of_a_token_is_listed_to_the_minute(place):
    """So that one that nobody uses any more is found; one is written down in a minute at most."""
    clock = ManualClock()
    tokens = Tokens(place.home, clock)
    token = tokens.create("ci", ["read"], "you")
    assert tokens.all()[0].document()["used"] is None
    tokens.caller(token)
    first = tokens.all()[0].used
    clock.sleep(59)
    tokens.caller(token)
    assert tokens.all()[0].used == first
    clock.sleep(1)
    tokens.caller(token)
    assert tokens.all()[0].used > first
    tokens.revoke("ci")
    tokens.create("ci", ["chat"], "you")
    assert not tokens.all()[0].used, "one of the same name is another"


@pytest.mark.parametrize(
    ("name", "scopes", "why"),
    [
        ("ci", ["act"], "only a person"), ("ci", ["read", "approve"], "no scope 'approve'"),
        ("ci", [], "needs a scope"),
        ("", ["read"], "is not a name"), ("-x", ["read"], "is not a name"), ("a/b", ["read"], "is not a name"),
        ("used", ["read"], "there is a token"),
    ],
)  # fmt: skip
def test_what_no_token_may_be_is_refused(place, name, scopes, why):
    """With what to write instead."""
    tokens = Tokens(place.home)
    tokens.create("used", ["read"], "you")
    with pytest.raises(UsageError, match=why):
        tokens.create(name, scopes, "you")
    with pytest.raises(UsageError, match="did you mean used"):
        tokens.revoke("usd")
    assert [token.name for token in tokens.all()] == ["used"]


def test_a_run_makes_and_revokes_no_token(place, monkeypatch):
    """Whatever is in its environment."""
    tokens = Tokens(place.home)
    tokens.create("ci", ["read"], "you")
    above = (RunAbove("run-1", str(place.home), "/w"),)
    monkeypatch.setattr("team_mail.mail.process.runs_above", lambda: above)
    with pytest.raises(NotFromRun):
        tokens.create("mine", ["read"], "you")
    with pytest.raises(NotFromRun):
        tokens.revoke("ci")


@pytest.mark.parametrize("content", ["[]", "{", '{"ci": 3}', '{"ci": {"digest": "x"}}'])
def test_a_damaged_file_of_tokens_lets_nobody_in(place, content):
    """And says what to do about it."""
    console = Guarded()
    (place.home / "mail").mkdir(exist_ok=True)
    (place.home / "mail" / "console.tokens").write_text(content)
    assert console("/api/read", authorization="Bearer x").status == 503
    with pytest.raises(LogUnavailable, match="move it away"):
        Tokens(place.home).all()


def test_the_commands_make_list_and_revoke(place):
    """The token is all that is printed on standard output."""

    def run(*words):
        return run_command("team", "console", "token", *words, cwd=place.folder, env={"PATH": "/usr/bin:/bin"})

    made = run("create", "ci", "--scope", "read, commands", "--sender", "ann")
    assert made.stdout.startswith(b"team_")
    assert Guarded()("/api/read", authorization=f"Bearer {made.stdout.decode().strip()}").json["sender"] == "ann"
    listed = json.loads(run("list", "--json").stdout)
    assert [(each["name"], each["scopes"], each["sender"]) for each in listed] == [("ci", ["commands", "read"], "ann")]
    assert listed[0]["used"]
    assert b"ann" in run("list").stdout
    assert run("create", "x", "--scope", "read", "--sender", "nobody").returncode == 2
    assert run("revoke", "ci").returncode == 0
    assert json.loads(run("list", "--json").stdout) == []


def webhook(body=BODY, secret=SECRET, own="msg_1", late=0):
    """The headers of a webhook, signed by somebody else's code."""
    at = datetime.now(UTC) - timedelta(seconds=late)
    return {
        "webhook_id": own,
        "webhook_timestamp": str(int(at.timestamp())),
        "webhook_signature": Webhook(secret).sign(own, at, body.decode()),
    }


def test_a_signed_webhook_commands_once(place):
    """What comes again is refused, as is what it has no business with."""
    console = Guarded()
    first = console("/api/commands", "POST", (BODY,), **webhook())
    assert (first.status, first.json["sender"], first.json["token"]) == (200, "you", "webhook")
    again = console("/api/commands", "POST", (BODY,), **webhook())
    assert (again.status, "came before" in again.error) == (401, True)
    for number, (method, path) in enumerate([("GET", "/api/read"), ("POST", "/api/approve"), ("POST", "/api/chat")]):
        assert console(path, method, (BODY,), **webhook(own=f"msg_{number + 2}")).status == 403


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"late": 301}, "more than 300 s"), ({"late": -302}, "more than 300 s"), ({"body": b"{}"}, "signature"),
        ({"secret": base64.b64encode(b"x" * 32).decode()}, "signature"), ({"webhook_id": "msg_2"}, "signature"),
        ({"webhook_id": ""}, "missing"), ({"webhook_timestamp": "soon"}, "missing"),
        ({"webhook_timestamp": "٣"}, "missing"),
        ({"webhook_signature": "v1,é"}, "signature"), ({"webhook_signature": ""}, "signature"),
    ],
)  # fmt: skip
def test_a_webhook_that_is_not_right_is_refused(place, changed, why):
    """An old one, one of another body, another secret or another id; none is believed by chance."""
    made = {name: value for name, value in changed.items() if name in {"late", "body", "secret"}}
    headers = webhook(**made) | {name: value for name, value in changed.items() if name not in made}
    why_not = Webhooks().why_not(
        str(place.folder.parent / "inbound.secret"),
        {name.replace("_", "-"): value for name, value in headers.items()},
        BODY,
    )
    assert why in why_not


def test_without_a_secret_no_webhook_is_taken(place):
    """And a secret that cannot be read is told, not passed over."""
    assert "takes no webhooks" in Webhooks().why_not(None, {}, BODY)
    with pytest.raises(SettingsError, match="cannot read"):
        Webhooks().why_not("/nowhere/inbound.secret", {}, BODY)
    (place.folder.parent / "inbound.secret").write_text("short")
    refused = Guarded()("/api/commands", "POST", (BODY,), **webhook())
    assert (refused.status, str(place.folder) in refused.error) == (503, False)


def test_ids_of_webhooks_are_forgotten_when_their_time_is_over(place):
    """The time alone refuses them then, so that memory is bounded."""
    clock, headers = ManualClock(), {name.replace("_", "-"): value for name, value in webhook().items()}
    clock.current = clock.current.fromtimestamp(time.time(), clock.current.tzinfo)
    webhooks, file = Webhooks(clock), str(place.folder.parent / "inbound.secret")
    assert webhooks.why_not(file, headers, BODY) == ""
    assert webhooks.why_not(file, headers, BODY) == "it came before"
    clock.sleep(299)
    assert webhooks.why_not(file, headers, BODY) == "it came before"
    clock.sleep(2)
    assert "more than 300 s" in webhooks.why_not(file, headers, BODY)


def test_every_route_is_in_the_description(team):
    """With its own name, what it takes and who may ask it, so that a program needs nothing else."""
    document = describe((*ROUTES, *OWN), ["https://team.example.org"])
    named = {
        (method.upper(), path): operation["operationId"]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert len(named) == len({*named.values()}) == len({(r.method, r.path) for r in (*ROUTES, *OWN)})
    assert {operation_id(route) for route in (*ROUTES, *OWN)} == {*named.values()}
    assert document["openapi"] == "3.1.0"
    chat = document["paths"]["/api/chat"]["post"]
    assert chat["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Order"}
    assert document["components"]["schemas"]["Order"]["required"] == ["what"]
    assert chat["security"] == [{"token": ["chat"]}, {"login": []}]
    secret = document["paths"]["/api/secret/{name}"]["get"]
    assert secret["security"] == [{"login": []}]
    assert [(each["name"], each["in"]) for each in secret["parameters"]] == [("name", "path"), ("least", "query")]
    assert document["paths"]["/api/health"]["get"]["security"] == []
    assert json.loads(json.dumps(document)) == document
