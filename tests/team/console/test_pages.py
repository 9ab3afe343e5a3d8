"""Pages: each shows what its route answers, and what agents wrote is only ever text in it."""

from __future__ import annotations

import gzip
import re
from html.parser import HTMLParser

import pytest
from team_mail.mail.letter import Letter
from team_mail.mail.log.event import Draft
from team_mail.mail.open import open_mailbox
from team_mail.team.console.app import STATIC
from team_mail.team.console.routes import ROUTES
from team_mail.team.open import open_team

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
