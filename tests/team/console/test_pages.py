"""Pages: each shows what its route answers, and what agents wrote is only ever text in it."""

from __future__ import annotations

import gzip
import re
from html.parser import HTMLParser

import pytest
from team_mail.mail.letter import Letter
from team_mail.mail.log.event import Draft
from team_mail.mail.open import open_log, open_mailbox
from team_mail.team import session
from team_mail.team.console.app import STATIC
from team_mail.team.console.common.console import Console
from team_mail.team.console.routes import ROUTES
from team_mail.team.open import open_team

from .asking import Asker

HOSTILE = "<script>alert(1)</script> \x1b[31m\u202e{{ 7 * 7 }} \"'><img src=x onerror=alert(2)>"
PAGE = 40_000  # bytes that a page may weigh on the wire, with all it is made of
SHOWN = [route.page for route in ROUTES if route.page and not route.changes]
LISTS = sorted(path for page in SHOWN for path in (page.path, *page.also) if "{" not in path)


class Page(HTMLParser):
    """The words of a page, and its elements with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words, self.elements = "", []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words += data

    def all(self, tag, name):
        """The values of an attribute of all elements of a kind."""
        return [attrs[name] for each, attrs in self.elements if each == tag and name in attrs]


def page(answer):
    """A page that was answered well."""
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"].startswith("text/html")
    return Page(answer.body.decode())


@pytest.fixture
def held(team, ask):
    """Asks the console of a team with a held patch, and mail to the human whose words are hostile."""

    def ann(job):
        (job.workspace / ".gitattributes").write_text("* text\n")

    team.sprint({"ann": ann})
    open_mailbox(team.home).send(Letter("bob", ("you",), HOSTILE, HOSTILE * 100))
    return ask


@pytest.mark.parametrize("path", LISTS)
def test_a_team_that_did_nothing_has_all_pages(ask, path):
    """Each says what it is, where one is, and has nothing that the policy of scripts forbids."""
    shown = page(ask.get(path))

    assert shown.all("html", "lang") == ["en"]
    assert len(shown.all("a", "aria-current")) >= 1
    assert [tag for tag, _ in shown.elements].count("h1") == 1
    assert not [attrs for _, attrs in shown.elements if any(name in {"style", "onclick"} for name in attrs)]


def test_what_needs_a_person_is_what_status_says(held):
    """Each matter has its sentence, its command and its button."""
    needs = held.get("/api/status").json["needs"]
    shown = page(held.get("/"))

    assert {need["kind"] for need in needs} >= {"patch", "mail"}
    for need in needs:
        assert need["text"] in shown.words
        assert need["command"] in shown.words
    (patch,) = (need for need in needs if need["kind"] == "patch")
    assert f"/api/patches/{patch['run']}/approve" in shown.all("form", "data-send")
    assert patch["key"] in held.get("/").body.decode() or patch["run"] in shown.all("form", "data-until")[0]


def test_a_damaged_log_is_told_on_every_page(held):
    """In the words of the commands; what verifies is still shown, and pages that are open hear of it."""
    assert "damaged" not in page(held.get("/runs")).words
    log = open_log(held.console.context.home)
    lines = log.active.read_bytes().splitlines(keepends=True)
    log.active.write_bytes(b"".join([*lines[:2], lines[2].replace(b'"', b"'"), *lines[3:]]))
    assert log.verify().corrupt  # by any process, or by the first that stumbles over it

    shown = page(held.get("/runs"))

    assert "nothing is written until team-mail repair" in shown.words
    assert "bob" in shown.words
    assert held.get("/api/head").json["damage"] in shown.words
    assert held.get("/mail/none").status == 404
    assert "team-mail repair" in held.get("/mail/none").body.decode()


def test_what_is_on_record_is_shown_without_a_repository(tmp_path, monkeypatch):
    """Only what would start or land something needs one, and says so as the command does."""
    (tmp_path / ".team").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TEAM_HOME", raising=False)
    ask = Asker(Console(session.reading_context, reopen_team=session.context))

    assert {path: ask.get(path).status for path in LISTS} == {
        path: 422 if path == "/sprints/new" else 200 for path in LISTS
    }
    assert ask.get("/api/rounds").json == []
    assert "not in a git repository" in ask.get("/sprints/new").body.decode()
    assert "no persona has finished a run" in ask.get("/api/plans/forecast").error


def test_a_run_has_its_patch_and_its_prompt(held):
    """The page of the run whose patch is held shows what it changes, and what the agent was told."""
    (run,) = (each["run"] for each in held.get("/api/runs").json if each["persona"] == "ann")
    shown = page(held.get(f"/runs/{run}"))

    assert "+* text" in shown.words
    assert ".gitattributes" in shown.words
    assert "Do your part." in shown.words
    assert shown.all("pre", "data-run") == [run]
    assert held.get("/runs/00000000").status == 404


@pytest.mark.parametrize("path", ["/", "/mail", "/mail?q=alert", "/mail?persona=bob&folder=sent", "/mail/{id}"])
def test_hostile_words_are_text(held, path):
    """No element comes of them, and no control sequence is left."""
    message = open_mailbox(held.console.context.home).inbox("you", sender="bob")[0]
    shown = page(held.get(path.format(id=message.id)))

    assert "<script>alert(1)</script>" in shown.words
    assert [
        attrs for tag, attrs in shown.elements if tag == "script" and not attrs.get("src", "").startswith("/")
    ] == []
    assert shown.all("img", "src") == []
    assert not {"\x1b", "\u202e"} & set(shown.words)
    assert r"\x1b[31m\u202e{{" in shown.words
    assert "49" not in re.findall(r"\d+", shown.words.partition("alert(1)")[2][:40])


def test_a_query_stays_as_it_was_written(ask):
    """Browsers end the lines of a field by CR LF, which no escape may take the place of."""
    assert "SELECT 1\r\n AS one</textarea>" in ask.get("/sql", sql="SELECT 1\r\n AS one").body.decode()


def test_a_long_letter_is_cut_and_can_be_had_whole(held):
    """A body above 4 KiB is cut, and says where the rest is."""
    message = open_mailbox(held.console.context.home).inbox("you", sender="bob")[0]
    cut = page(held.get(f"/mail/{message.id}"))
    (link,) = (each for each in cut.all("a", "href") if "whole=1" in each)
    whole = page(held.get(link))

    assert whole.words.count("alert(1)") >= 100 > cut.words.count("alert(1)")


def test_pages_and_values_are_compressed_and_light(held):
    """The heaviest page weighs less than it may, with each file that it loads."""
    static = sum(
        len(gzip.compress(each.read_bytes(), 6)) for each in STATIC.iterdir() if each.suffix in {".js", ".css"}
    )
    headers = {"accept-encoding": "gzip"}
    answers = {path: held(path=path, method="GET", headers=headers) for path in LISTS}

    assert {answer.headers["content-encoding"] for answer in answers.values()} == {"gzip"}
    weights = {path: len(answer.body) + static for path, answer in answers.items()}
    assert max(weights.values()) < PAGE, weights


def test_a_long_list_is_paged(team, ask):
    """A page has a hundred rows and the way to older ones, the last page none."""
    data = {"persona": "ann", "attempt": 1, "tick": 1, "sprint": 1, "base": "b", "agent": "shell", "reason": "batch"}
    runs = [f"{number:08x}-0000-7000-8000-000000000000" for number in range(150)]
    started = [Draft("run.started", "scheduler", run=run, data=data | {"mail": [], "supervisor": {}}) for run in runs]
    open_team(team.home, {}).append(started)
    first = page(ask.get("/runs"))
    (older,) = (href for href in first.all("a", "href") if "before=" in href)
    last = page(ask.get(older))
    rows = [{href for href in each.all("a", "href") if href.startswith("/runs/")} for each in (first, last)]

    assert [len(each) for each in rows] == [100, 50]
    assert rows[0] | rows[1] == {f"/runs/{run}" for run in runs}
    assert not [href for href in last.all("a", "href") if "before=" in href]


def test_sent_mail_and_what_a_search_finds_are_paged(team, ask):
    """Each page has a hundred rows and the way to the next one, the last page none; so have the routes."""
    box = open_mailbox(team.home)
    for number in range(130):
        box.send(Letter("you", ("ann",), f"Letter {number}", "words"))
    for path, route in (("/mail?folder=sent", "/api/sent"), ("/mail?q=letter", "/api/mail/search?q=letter")):
        first = page(ask.get(path))
        (older,) = (href for href in first.all("a", "href") if "before=" in href or "skip=" in href)
        last = page(ask.get(older))
        rows = [{href for href in each.all("a", "href") if href.startswith("/mail/")} for each in (first, last)]
        routes = [ask.get(route), ask.get(ask.get(route).following)]

        assert [len(each) for each in rows] == [100, 30]
        assert len(rows[0] | rows[1]) == 130
        assert not [href for href in last.all("a", "href") if href.endswith((older[-3:], "skip=100"))]
        assert [[f"/mail/{each['id']}" for each in answer.json] for answer in routes] == [
            [href for href in each.all("a", "href") if href.startswith("/mail/")] for each in (first, last)
        ]
        assert routes[1].following == ""
