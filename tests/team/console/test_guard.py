"""The guard of the console: each attack on a local server, and what it is answered (RELIABILITY A10)."""

from __future__ import annotations

import re

import pytest
from team_mail.mail.clock import ManualClock
from team_mail.team.console.access.logins import Logins
from team_mail.team.console.common.console import ConsoleOptions
from team_mail.team.console.guard.login import cookie_name, safe_path

from .guarded import HOST, Guarded

PAGE = "text/html,application/xhtml+xml"


@pytest.fixture
def place(team, monkeypatch):
    """The folder of a team of ann, bob and cyd, in which this process is."""
    for name in ("TEAM_HOME", "TEAM_RUN", "TEAM_PERSONA", "TEAM_SESSION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(team.folder)
    team.context()
    return team


@pytest.fixture
def console(place):
    return Guarded()


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8420", "127.0.0.1", "127.0.0.1:8421", "localhost.evil.example:8420", "",
        "127.0.0.1:8420\nevil.example", "127.0.0.1:8420,evil.example", "user@127.0.0.1:8420", "127.1:8420",
        "127.0.0.1:8420.evil.example", " 127.0.0.1:8420",
    ],
)  # fmt: skip
def test_a_request_by_another_name_is_refused(console, host):
    """A page whose name was made to lead here (DNS rebinding) reads nothing, with a login or without."""
    assert console("/api/status", host=host, cookie=console.cookie).status == 421
    assert console("/api/health", host=host).status == 421


@pytest.mark.parametrize("host", ["127.0.0.1:8420", "localhost:8420", "LOCALHOST:8420", "[::1]:8420"])
def test_this_machine_is_called_by_its_own_names(console, host):
    """All that a browser on this machine may write leads here."""
    assert console("/api/status", host=host, cookie=console.cookie).status == 200


def test_the_settings_name_the_hosts_of_a_proxy(place):
    """A public name is one of this server's once team.toml says so, and not before; nothing is started anew for it."""
    console = Guarded()
    assert console("/api/status", host="team.example.org", cookie=console.cookie).status == 421
    place.context(settings='[console]\nhosts = ["team.example.org", "nas:8443"]\n')
    for host in ("team.example.org", "nas:8443"):
        assert console("/api/status", host=host, cookie=console.cookie).status == 200
        assert console("/api/status", host=host, cookie=console.cookie, origin=f"https://{host}").status == 200
    assert console("/api/status", host="team.example.org:1", cookie=console.cookie).status == 421


def test_wrong_settings_open_no_door(place):
    """While team.toml cannot be read, the last names count; what is wrong is told to those alone who may ask."""
    console = Guarded()
    (place.home / "team.toml").write_text("[console]\nhosts = 3\n")
    assert console("/api/status", host="evil.example", cookie=console.cookie).status == 421
    assert console("/api/status").status == 401
    told = console.as_person("/api/status")
    assert (told.status, "hosts" in told.error) == (422, True)


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1:3000", "http://localhost:8420", "http://127.0.0.1:8420/"],
)
def test_a_page_of_another_origin_asks_nothing(console, origin):
    """Neither a site nor a server on another port of this machine, such as an agent's, forges requests (CSRF)."""
    for method in ("GET", "POST", "OPTIONS"):
        assert console.as_person("/api/status", method, origin=origin).status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
def test_what_the_browser_calls_another_site_reads_nothing(console, site):
    """An image, a script or a frame of another page sends no Origin, but says that it is from elsewhere."""
    assert console.as_person("/api/status", sec_fetch_site=site).status == 403
    assert console.as_person("/", sec_fetch_site=site, sec_fetch_mode="no-cors", sec_fetch_dest="image").status == 403
    assert console.as_person("/api/status", sec_fetch_site="same-origin").status == 200
    assert console.as_person("/api/status", sec_fetch_site="none").status == 200


def test_a_link_in_a_mail_may_be_followed_to_a_page(console):
    """The browser sends no cookie with it, so the page says to open it again, which then is of the same site."""
    visit = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    page = console("/?a=1", accept=PAGE, **visit)
    assert (page.status, 'href="/?a=1"' in page.body.decode()) == (401, True)
    assert console.as_person("/api/status", **visit).status == 403


def test_nobody_reads_without_a_login(console):
    """Pages, values and what is no path at all ask for it; only the files of the pages and `health` do not."""
    for path in ("/", "/api/status", "/api/personas", "/api/nothing", "/nothing", "/static", "/staticx"):
        assert console(path).status == 401, path
    assert console("/api/status", cookie=f"{cookie_name(ConsoleOptions())}=guess").status == 401
    assert console("/api/status", cookie='team_console_8420="\\"; x=\x01').status == 401
    assert console("/api/health").status == 200
    assert console("/static/console.css").status == 200


@pytest.mark.parametrize(
    "value", ["Bearer", "Bearer ", "Bearer guess", "Basic Zm9vOmJhcg==", "bearer team_x", "", "Digest x"]
)
def test_a_wrong_token_is_refused_beside_a_right_cookie(console, value):
    """Who sends a token is what the token says, and no more."""
    answer = console.as_person("/api/status", authorization=value)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_a_login_is_made_once_and_kept_from_scripts_and_other_sites(console):
    """The address works once; HEAD, as of a preview in a chat, does not use it up."""
    key = console.console.logins.new_key()
    assert console(f"/login?key={key}", "HEAD").status == 405
    assert console(f"/login?key={key}", "POST").status == 405
    first = console(f"/login?key={key}")
    cookie = first.headers["set-cookie"]
    assert (first.status, first.headers["location"]) == (303, "/")
    assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert console("/api/status", cookie=cookie.partition(";")[0]).status == 200
    assert console(f"/login?key={key}").status == 401
    assert console("/login").status == 401


@pytest.mark.parametrize("options", [{"tls": ("c", "k")}, {}])
def test_over_tls_the_cookie_goes_over_tls_alone(place, options):
    """Be it that of this server or of the proxy before it."""
    console = Guarded(ConsoleOptions(**options))
    answer = console(f"/login?key={console.console.logins.new_key()}", x_forwarded_proto="https")
    assert "Secure" in answer.headers["set-cookie"].split("; ")


def test_each_server_has_its_own_cookie():
    """Browsers send a cookie to all ports of a host: consoles of two teams do not log each other out."""
    assert cookie_name(ConsoleOptions(port=8420)) != cookie_name(ConsoleOptions(port=8421))


def test_who_comes_too_late_reads_a_page_and_goes_on_from_there(console):
    """A browser gets a page with a form, which takes the whole address, too, and leads to what was asked for."""
    page = console("/login?key=used&next=/api/roster", accept=PAGE)
    text = page.body.decode()
    assert page.status == 401
    assert page.headers["content-type"].startswith("text/html")
    assert "used already" in text
    assert 'value="/api/roster"' in text
    address = f"http%3A%2F%2F{HOST}%2Flogin%3Fkey%3D{console.console.logins.new_key()}"
    assert console(f"/login?key={address}&next=/api/roster").headers["location"] == "/api/roster"
    assert console("/login?key=used").error.startswith("this address was used already")


@pytest.mark.parametrize(
    "path", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "/a\nb", "/\t/x", ""]
)
def test_the_login_leads_to_no_other_site(path):
    """Nobody is sent elsewhere by a link that somebody else wrote."""
    assert safe_path(path) == "/"
    assert safe_path("/runs/abc?from=1") == "/runs/abc?from=1"


def test_what_an_address_says_is_only_ever_text(console):
    """The page of a refusal shows the path that was asked for, and none of it is markup."""
    page = console('/"><script>alert(1)</script>?"onload=x', accept=PAGE).body.decode()
    assert "<script" not in page
    assert not re.search(r'value="[^"]*"[^>]*onload', page)


def test_every_answer_forbids_inline_scripts_frames_and_guesses(console):
    """Also refusals, files and what is not there."""
    for answer in (
        console.as_person("/"), console("/"), console("/", host="evil.example"), console.as_person("/nothing"),
        console("/static/console.css"), console.as_person("/api/status", "DELETE"),
    ):  # fmt: skip
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "POST", "TRACE", "OPTIONS", "PROPFIND", "NONSENSE"])
def test_a_method_that_is_none_of_a_path_is_told_so(console, method):
    """405, and not a fault."""
    assert console.as_person("/api/status", method).status == 405


@pytest.mark.parametrize(
    "chunks",
    [(b"x" * (1 << 20), b"x"), (b"x" * 1000,) * 1100, (b"x" * ((1 << 20) + 1),)],
)
def test_a_body_beyond_a_mebibyte_is_not_read_on(console, chunks):
    """One in chunks tells no length before; what a length tells is believed."""
    answer = console("/api/status", "POST", chunks, cookie=console.cookie)
    assert (answer.status, answer.headers["connection"]) == (413, "close")


@pytest.mark.parametrize("length", ["1048577", "9" * 30, "-1", "x"])
def test_a_body_that_says_that_it_is_large_is_not_read_at_all(console, length):
    """Nothing of it is in memory."""
    assert console("/api/status", "POST", (), cookie=console.cookie, content_length=length).status == 413


def test_a_body_is_not_read_of_whom_nobody_knows(console):
    """Memory is for those who may ask."""
    assert console("/api/status", "POST", (b"x" * (2 << 20),)).status == 401


def test_a_console_that_only_shows_changes_nothing(place):
    """`--read-only` refuses every method that may change something."""
    console = Guarded(ConsoleOptions(read_only=True))
    assert console.as_person("/api/status").status == 200
    for method in ("POST", "PUT", "DELETE", "NONSENSE"):
        answer = console.as_person("/api/status", method)
        assert (answer.status, "--read-only" in answer.error) == (403, True)


def test_a_process_of_a_run_changes_nothing_whatever_it_has_got_hold_of(place):
    """Neither with a person's cookie nor with a token; it may read."""
    console = Guarded(check_peer=lambda _: "process 7 belongs to a run")
    assert console.as_person("/api/status").status == 200
    answer = console.as_person("/api/status", "POST")
    assert (answer.status, answer.error.endswith("process 7 belongs to a run")) == (403, True)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py", "/static/..%2fapp.py", "/static//etc/passwd", "/static/%2e%2e/app.py", "/static/\0",
        "/api/../../etc/passwd", "/static/....//app.py", "/static/console.css/../../app.py",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_files_of_the_pages(console, path):
    """Whatever is in it, it is no file of this machine."""
    assert console.as_person(path).status == 404


def test_a_session_is_listed_by_its_device_and_ended(console):
    """The cookie of an ended one is worth nothing."""
    cookie = f"team_console_8420={console.log_in('Phone')}"
    newest = console.console.logins.sessions()[0]
    assert (newest.device, len(console.console.logins.sessions())) == ("Phone", 2)
    assert console("/api/status", cookie=cookie).status == 200
    assert console.console.logins.revoke(newest.id)
    assert not console.console.logins.revoke(newest.id)
    assert console("/api/status", cookie=cookie).status == 401
    assert console.as_person("/api/status").status == 200


def test_keys_for_other_devices_and_idle_sessions_end():
    """A key for another device lives ten minutes, the one on the terminal until it is used; a session a week."""
    clock = ManualClock()
    logins = Logins(clock)
    early, late, kept = logins.new_key(lasts=False), logins.new_key(lasts=False), logins.new_key()
    clock.sleep(599)
    cookie = logins.log_in(early)
    assert cookie
    clock.sleep(2)
    assert logins.log_in(late) is None
    assert logins.log_in(kept)
    clock.sleep(6 * 86_400)
    assert logins.session(cookie)
    clock.sleep(6 * 86_400)
    assert logins.session(cookie)
    clock.sleep(7 * 86_400 + 1)
    assert logins.session(cookie) is None


def test_keys_and_sessions_are_bounded():
    """The oldest make room, so that nobody fills the memory by logging in."""
    logins = Logins(ManualClock())
    first = logins.new_key()
    cookies = [logins.log_in(logins.new_key()) for _ in range(101)]
    assert len(logins.sessions()) == 100
    assert logins.session(cookies[0]) is None
    assert logins.session(cookies[-1])
    for _ in range(100):
        logins.new_key()
    assert logins.log_in(first) is None


def test_a_person_lists_devices_invites_one_more_and_ends_it(console):
    """The address for the phone comes with a picture of it; the one who asks sees which device is this one."""
    invited = console.as_person("/api/logins", "POST")
    assert (invited.status, invited.json["qr"].startswith("<svg")) == (201, True)
    assert "style=" not in invited.json["qr"]
    path = invited.json["address"].removeprefix("http://127.0.0.1:8420")
    cookie = console(path, user_agent="Phone\x1b[2J").headers["set-cookie"].partition(";")[0]
    phone, here = console.as_person("/api/logins").json
    assert (phone["device"], phone["here"], here["here"]) == ("Phone\\x1b[2J", False, True)
    assert console.as_person(f"/api/logins/{phone['id']}", "DELETE").status == 200
    assert console("/api/status", cookie=cookie).status == 401
    assert console.as_person(f"/api/logins/{phone['id']}", "DELETE").status == 404
