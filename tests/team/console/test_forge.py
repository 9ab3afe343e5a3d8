"""A webhook of the forge is believed by its signature alone, for its own path alone, and only has somebody look."""

from __future__ import annotations

import pytest
from team_mail.scheduler.forge.watch import _hint

from .guarded import Guarded

# The example of https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
SECRET, BODY = "It's a Secret to Everybody", b"Hello, World!"
SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


@pytest.fixture
def console(team, monkeypatch):
    team.context({}, '[github]\nwebhook_secret_file = "../secret"\n')
    (team.folder.parent / "secret").write_text(f"{SECRET}\n")
    monkeypatch.chdir(team.folder)
    return Guarded()


def test_a_webhook_of_the_forge_has_somebody_look(console, team):
    """As often as it comes; without the right signature nobody does, and nothing else is done by it."""
    for _ in range(2):
        answer = console("/api/github", "POST", (BODY,), x_hub_signature_256=SIGNATURE)
        assert (answer.status, answer.json) == (200, {"looks": True})
    assert _hint(team.home).exists()
    _hint(team.home).unlink()
    for body, signature in ((b"Hello, World?", SIGNATURE), (BODY, "sha256="), (BODY, "sha1=7571"), (BODY, "é")):
        refused = console("/api/github", "POST", (body,), x_hub_signature_256=signature)
        assert (refused.status, "signature" in refused.error) == (401, True)
    for path in ("/api/commands", "/api/runs", "/api/github/"):
        assert console(path, "POST", (BODY,), x_hub_signature_256=SIGNATURE).status in {401, 404, 405}
    assert not _hint(team.home).exists()


def test_without_a_good_secret_none_is_believed(console, team):
    (team.folder.parent / "secret").write_text("short")
    assert console("/api/github", "POST", (BODY,), x_hub_signature_256=SIGNATURE).status == 503
    team.context({})
    refused = Guarded()("/api/github", "POST", (BODY,), x_hub_signature_256=SIGNATURE)
    assert (refused.status, "takes none" in refused.error) == (401, True)
