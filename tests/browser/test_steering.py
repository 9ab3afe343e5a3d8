"""A person steers the team from a browser: by phone, by keyboard, by mail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect
from team_mail.mail.letter import Letter
from team_mail.mail.log.event import Draft
from team_mail.mail.open import open_mailbox
from team_mail.mail.process import myself
from team_mail.team.open import open_team

from .conftest import PHONE

pytestmark = pytest.mark.browser


def scheduler(team, *words):
    """Run the scheduler as a person at a terminal does."""
    command = [Path(sys.executable).with_name("scheduler"), *words]
    return subprocess.run(command, cwd=team.folder, check=True, capture_output=True, timeout=120)


def hold(team):
    """Have ann make a patch that is held."""
    (team.home / "personas" / "ann.md").write_text("---\nid: ann\n---\nATTRIBUTES\n")
    for name in ("bob", "cyd"):
        (team.home / "personas" / f"{name}.md").write_text(f"---\nid: {name}\nscheduled: false\n---\nNothing.\n")
    scheduler(team, "sprint", "--yes", "--quiet")


def test_a_held_patch_is_approved_on_a_phone_and_lands(team, desk):
    """It shows what it changes; the receipt tells that it was accepted and then, once the log says so, landed."""
    hold(team)
    page = desk.page(PHONE)
    page.goto(desk.server.base)
    matter = page.locator(".need", has_text="ann's patch to .gitattributes is held")
    matter.get_by_text("What it changes").click()
    expect(matter.locator(".diff .add", has_text="+* text")).to_be_visible()
    expect(page.locator("#needs-count")).to_be_visible()
    matter.get_by_role("button", name="Approve").click()
    receipt = page.locator("#receipts li")
    expect(receipt).to_contain_text("accepted (")
    expect(page.locator(".need", has_text="ann's patch")).to_have_count(0)
    page.get_by_role("button", name="Start a sprint").click()
    expect(receipt.first).to_contain_text("then landed ", timeout=60_000)
    landed = team.git("log", "-1", "--format=%h", "--abbrev=7", "team/sprint-2", "--", ".gitattributes")
    expect(receipt.first).to_contain_text(landed)
    assert desk.complaints == []


def test_a_patch_is_refused_with_a_reason(team, desk):
    """Its author has mail with the reason; the matter is gone."""
    hold(team)
    page = desk.page()
    page.goto(desk.server.base)
    matter = page.locator(".need", has_text="ann's patch")
    matter.locator("summary", has_text="Refuse").click()
    matter.get_by_label("Why, for ann").fill("attributes are mine")
    matter.locator("form").get_by_role("button", name="Refuse").click()
    expect(page.locator("#receipts li")).to_contain_text("then refused")
    (mail,) = open_mailbox(team.home).inbox("ann", sender="you")
    assert "attributes are mine" in mail.subject
    assert desk.complaints == []


def test_a_letter_is_answered_by_keyboard_alone(team, desk):
    """Tab and Enter lead from what needs me to the letter, the answer, and the receipt."""
    mailbox = open_mailbox(team.home)
    mailbox.send(Letter("bob", ("you",), "Shall the poem rhyme?", "I would like to know."))
    page = desk.page()
    page.goto(desk.server.base)
    page.locator("#link.good").wait_for()

    def reach(what):
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.innerText || document.activeElement.name || ''").strip() == what:
                return
        raise AssertionError(f"no Tab leads to {what}")

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reach("Open")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url("**/mail/*")
    reach("body")
    page.keyboard.type("Yes, it shall.")
    reach("Send")
    page.keyboard.press("Enter")
    expect(page.locator("#receipts li")).to_contain_text("accepted (")
    (answer,) = open_mailbox(team.home).inbox("bob", sender="you")
    assert answer.subject.endswith("Shall the poem rhyme?")
    expect(page.locator("#thread li")).to_have_count(2)
    assert desk.complaints == []


def test_an_error_stands_in_its_row(team, desk):
    """A letter to nobody is refused beside its button, and what was written is still there."""
    page = desk.page()
    page.goto(f"{desk.server.base}/mail")
    page.get_by_text("Write", exact=True).click()
    page.get_by_label("To, with commas").fill("nobody-here")
    page.get_by_label("Subject").fill("Hello")
    page.get_by_label("Text").fill("A text")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("form .error")).to_contain_text("nobody-here")
    assert page.get_by_label("Text").input_value() == "A text"


def test_the_page_says_when_the_server_is_gone_and_when_it_is_back(team, desk):
    """A new server knows no login of the old one; the page says what to do, and goes on after it."""
    page = desk.page()
    page.goto(desk.server.base)
    expect(page.locator("#link")).to_have_text("connected")
    desk.server.stop()
    expect(page.locator("#link")).to_have_text("no answer, trying")
    address = desk.server.start()
    expect(page.locator("#link")).to_contain_text("team console")
    page.goto(address)
    expect(page.locator("#link")).to_have_text("connected")


ROADMAP = "tasks:\n- {id: a, persona: ann, estimate: 1h}\n- {id: b, persona: bob, estimate: 2h, dependencies: [a]}\n"


def test_a_roadmap_is_planned_in_its_place(team, desk):
    """What is answered takes the place of what was shown; what is wrong stands there, too, and the text stays."""
    page = desk.page()
    page.goto(f"{desk.server.base}/plan")
    for text, shown in ((ROADMAP, "critical path"), ("tasks: [", "roadmap"), (ROADMAP, "critical path")):
        page.get_by_label("A roadmap").fill(text)
        page.get_by_role("button", name="Plan", exact=True).click()
        expect(page.locator("#plan")).to_contain_text(shown)
        assert page.get_by_label("A roadmap").input_value() == text
    expect(page.locator("#plan table").first).to_contain_text("2 h 00 min")
    assert desk.complaints == []


def test_a_dispatch_that_was_cut_off_goes_on_by_its_button(team, desk):
    """On its own page, which then shows the end without being loaded again."""
    start = {
        "dispatch": "night/build", "tasks": [{"task_id": "a", "agent": "ann", "description": "SAY 1"}], "config": {},
        "agent": None, "base": team.git("rev-parse", "main"), "branch": "team/night",
        "supervisor": myself() | {"pid": 1, "start": "0"},
    }  # fmt: skip
    open_team(team.home, {}).append([Draft("dispatch.started", "scheduler", data=start)])
    page = desk.page()
    page.goto(f"{desk.server.base}/tasks")
    page.get_by_role("link", name="ht/build").click()
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#receipts li")).to_contain_text("accepted")
    expect(page.locator("h1 .status")).to_have_text("success", timeout=60_000)
    assert desk.complaints == []
