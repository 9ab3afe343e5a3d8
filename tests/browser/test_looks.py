"""How the pages look and what they weigh: no complaints, nothing serious for who cannot see, no page wider than it is.

With SHOTS each page is drawn into that folder, for desk and phone, light and dark.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page
from team_mail.mail.letter import Letter
from team_mail.mail.log.event import Draft
from team_mail.mail.open import open_mailbox
from team_mail.mail.process import myself
from team_mail.scheduler.claims.claims import Claims, NewTask
from team_mail.team.console.routes import ROUTES
from team_mail.team.open import open_team

from .conftest import AXE, DESK, PHONE

pytestmark = pytest.mark.browser
LISTS = [path for route in ROUTES if route.page for path in (route.page.path, *route.page.also) if "{" not in path]
MOST_BYTES, MOST_PAINT = 40_000, 300  # of a page with all it loads; ms on loopback, on a machine with nothing to do
GONE = myself() | {"pid": 1, "start": "0"}
LOOKS = [(size, scheme) for size in (DESK, PHONE) for scheme in ("light", "dark")]


@pytest.fixture
def busy(team, desk):
    """A team that has run: a landed patch, a held one, one that failed, mail in threads."""

    def ann(job):
        (job.workspace / ".gitattributes").write_text("* text\n")

    def cyd(job):
        raise RuntimeError("the model is not there")

    toml = (team.home / "team.toml").read_text()
    team.sprint({"ann": ann, "bob": team.replaced(3, "a better line"), "cyd": cyd})
    (team.home / "team.toml").write_text(toml)
    mailbox = open_mailbox(team.home)
    sent = mailbox.send(Letter("bob", ("you",), "Shall the poem rhyme?", "It does not yet.\n\nI would like to know."))
    mailbox.reply(Letter("you", (), "", "Yes."), sent.id)
    mailbox.send(Letter("cyd", ("you",), "A long letter", "A line of it. " * 600))
    claims = Claims(mailbox)
    claims.add(NewTask("mend-the-login", "Mend the login", input={"file": "login.py"}), "you")
    claims.add(NewTask("write-docs", after=("mend-the-login",)), "you")
    claims.claim("mend-the-login", "ann", 900, process=GONE)
    tasks = [{"task_id": each, "agent": "ann", "description": "SAY 1"} for each in ("a", "b")]
    start = {"dispatch": "night/build", "tasks": tasks, "config": {}, "agent": None, "base": "", "branch": "team/night"}
    draft = Draft("dispatch.started", "scheduler", data=start | {"supervisor": GONE})
    open_team(team.home, {}).append([draft])
    return desk


def every_page(team):
    """The pages that stand for themselves, and one of each kind that needs a name."""
    mailbox = open_mailbox(team.home)
    runs = [event.run for event in mailbox.log.read() if event.kind == "patch.held" or event.kind == "run.started"]
    held = next(event.ref for event in mailbox.log.read() if event.kind == "patch.held")
    letter = mailbox.inbox("you", sender="cyd")[0]
    named = ["/sprint/1", "/tasks/mend-the-login", "/dispatches/night%2Fbuild"]
    return [*LISTS, f"/runs/{held}", f"/runs/{runs[1]}", f"/mail/{letter.id}", *named]


def serious(page: Page) -> list[str]:
    """What axe finds that is serious or worse."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [
        f"{each['id']}: {each['nodes'][0]['html'][:150]}" for each in found if each["impact"] in {"serious", "critical"}
    ]


def test_every_page_in_every_look(team, busy):
    """Light and dark, desk and phone: nothing is cut off at the side, and nothing is serious for axe."""
    folder = Path(os.environ["SHOTS"]) if os.environ.get("SHOTS") else None
    wrong: list[str] = []
    for size, scheme in LOOKS:
        page = busy.page(size, scheme)
        for path in every_page(team):
            page.goto(busy.server.base + path)
            page.locator("#link.good").wait_for()
            name = f"{path.strip('/').partition('/')[0] or 'needs'}{'-one' if path.count('/') > 1 else ''}"
            if folder:
                page.screenshot(path=folder / f"{name}-{size['width']}-{scheme}.png")
            wide = page.evaluate("document.documentElement.scrollWidth")
            wrong += [f"{path} at {size['width']}: {wide} wide"] if wide > size["width"] else []
            wrong += [f"{path} {scheme} {size['width']}: {each}" for each in serious(page)]

    assert wrong == []
    assert busy.complaints == []


def test_a_page_is_light_and_quickly_there(team, busy):
    """Weight is what the network carried for a first visit; paint is the browser's own first one, the best of three."""
    rows = []
    for path in every_page(team):
        paints, sizes = [], []
        for _ in range(3):
            page = busy.page()
            session = page.context.new_cdp_session(page)
            session.send("Network.enable")
            got: list[int] = []
            session.on("Network.loadingFinished", lambda event, got=got: got.append(event["encodedDataLength"]))
            page.goto(busy.server.base + path)
            page.locator("#link.good").wait_for()
            sizes.append(sum(got))
            paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        rows.append((path, max(sizes), min(paints)))
    print(
        "\n"
        + "\n".join(f"{path[:24]:24} {size / 1000:6.1f} kB  first paint {paint:4.0f} ms" for path, size, paint in rows)
    )

    assert {path: size for path, size, _ in rows if size > MOST_BYTES} == {}
    assert min(paint for _, _, paint in rows) < MOST_PAINT
