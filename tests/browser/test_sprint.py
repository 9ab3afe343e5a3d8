"""A sprint is started from its dry run, watched while it goes on, and shown as of any moment, in a browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from .conftest import PHONE

pytestmark = pytest.mark.browser


def test_a_sprint_is_started_from_its_dry_run_and_shown_as_of_any_moment(team, desk):
    """The dry run says whom it would launch; the page of the sprint follows it to its end; the slider goes back."""
    page = desk.page()
    page.goto(f"{desk.server.base}/sprints/new")
    expect(page.get_by_role("heading", name="3 launches")).to_be_visible()
    page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/sprint/1")
    expect(page.get_by_role("heading", level=1)).to_contain_text(re.compile("idle|converged"), timeout=60_000)
    assert team.git("branch", "--list", "team/sprint-1")

    whole = page.locator(".moment-text").inner_text()
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("Home")
    expect(page.locator(".moment-text")).to_contain_text("sprint 1 starts")
    expect(page.locator(".moment-text")).to_contain_text("moment 1 of")
    page.keyboard.press("End")
    expect(page.locator(".moment-text")).to_have_text(whole)
    assert desk.complaints == []


def test_a_moment_has_an_address_and_fits_a_phone(team, desk):
    """`?at=` shows that moment at once, links lead to its neighbours, and nothing is wider than the screen."""
    team.sprint({"ann": team.replaced(3, "by ann"), "bob": team.replaced(20, "by bob"), "cyd": lambda job: None})
    page = desk.page(PHONE)
    page.goto(f"{desk.server.base}/sprint/1")
    page.get_by_role("link", name="Before").click()
    assert "?at=" in page.url
    page.get_by_role("link", name="Now").click()
    expect(page.locator(".moment-text")).to_contain_text("sprint 1 ends")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert desk.complaints == []
