"""The forge on loopback answers as GitHub documents it, so that what works with one works with the other."""

from __future__ import annotations

import json
import subprocess
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from team_mail.team.forge.fake import FakeForge


@pytest.fixture
def forge(team, tmp_path):
    with FakeForge(tmp_path / "forge", source=team.folder) as forge:
        yield forge


def call(forge, method, path, value=None, token="token-of-octo", **headers):
    """Return the status, the headers and the JSON of a call."""
    body = None if value is None else json.dumps(value).encode()
    named = {"Authorization": f"Bearer {token}"} | {name.replace("_", "-"): text for name, text in headers.items()}
    try:
        with urlopen(Request(f"{forge.api}{path}", body, named, method=method), timeout=10) as got:
            return got.status, got.headers, json.loads(got.read() or b"null")
    except HTTPError as error:
        return error.code, error.headers, json.loads(error.read() or b"null")


def test_it_answers_as_documented(team, forge):
    """401, 404, 409, 422 with `errors`, pages with `Link`, ETags with 304, and limits in the headers."""
    repo = "/repos/octo/app"
    assert call(forge, "GET", "/user", token="wrong")[0] == 401
    assert call(forge, "GET", "/repos/octo/other/issues")[0] == call(forge, "GET", f"{repo}/pulls/7")[0] == 404
    assert call(forge, "POST", f"{repo}/issues", {})[2]["errors"] == [{"field": "title", "code": "missing_field"}]
    for number in range(3):
        assert call(forge, "POST", f"{repo}/issues", {"title": f"Issue {number}"})[0] == 201
    status, headers, page = call(forge, "GET", f"{repo}/issues?per_page=2")
    assert (status, [each["number"] for each in page]) == (200, [3, 2])
    following = f"<{forge.api}{repo}/issues?per_page=2&page=2>"
    assert headers["Link"] == f'{following}; rel="next", {following}; rel="last"'
    assert call(forge, "GET", f"{repo}/issues?per_page=2", If_None_Match=headers["ETag"])[0] == 304
    assert int(call(forge, "GET", "/user")[1]["X-RateLimit-Remaining"]) == int(headers["X-RateLimit-Remaining"]) - 1

    asked = {"title": "Mine", "head": "octo:change", "base": "main"}
    assert call(forge, "POST", f"{repo}/pulls", asked)[2]["errors"][0] | {"resource": ""} == {
        "resource": "", "field": "head", "code": "invalid"
    }  # fmt: skip
    team.git("commit", "-q", "--allow-empty", "-m", "Change")
    address = f"http://octo:token-of-octo@{forge.url.removeprefix('http://')}/octo/app.git"
    with pytest.raises(subprocess.CalledProcessError):
        team.git("push", "-q", address.replace("token-of-octo", "x"), "HEAD:refs/heads/change")
    team.git("push", "-q", address, "HEAD:refs/heads/change", "HEAD~1:refs/heads/same")
    assert call(forge, "POST", f"{repo}/pulls", asked)[0] == 201
    for head, said in (("change", "A pull request already exists for octo:change."), ("same", "No commits between")):
        status, _, value = call(forge, "POST", f"{repo}/pulls", asked | {"head": head})
        assert (status, said in value["errors"][0]["message"]) == (422, True)
    assert call(forge, "PUT", f"{repo}/pulls/4/merge", {"sha": "0" * 40})[0] == 409
    assert call(forge, "PUT", f"{repo}/pulls/4/merge", {})[2]["merged"] is True
    assert team.git("ls-remote", address, "refs/pull/4/head").split()[0] == team.git("rev-parse", "HEAD")
