"""Ask many personas in a browser: all stream at once, one fails in its row, and nothing is lost on the way."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from .conftest import PHONE

pytestmark = pytest.mark.browser


def ask(page: Page, base: str, *tasks: tuple[str, str], path: str = "/ask") -> None:
    """Give each persona its prompt, and run all."""
    page.goto(base + path)
    for at, (persona, prompt) in enumerate(tasks):
        if at:
            page.get_by_role("button", name="Add a task").click()
        row = page.locator(".ask-row").nth(at)
        row.get_by_label("Persona").select_option(persona)
        row.get_by_label("Prompt").fill(prompt)
    page.get_by_role("button", name="Run all").click()


def text_of(log) -> str:
    """All that stands in a thread, or in an output, but for the end of its last line."""
    return log.text_content().rstrip("\n")


def said(page: Page, name: str):
    """What a persona has said so far."""
    return page.get_by_role("log", name=f"What {name} says", exact=True)


def lines(name: str, number: int) -> str:
    """All that a persona says whose prompt asks for so many lines."""
    return "\n".join(f"{name} says line {each}" for each in range(1, number + 1))


def test_three_are_asked_and_all_stream_at_once(team, desk):
    """Each has spoken before any has ended; all end well, and what was asked is in the history."""
    page = desk.page(PHONE)
    ask(page, desk.server.base, ("ann", "SAY 40"), ("bob", "SAY 40"), ("cyd", "SAY 40"), path="/pocket")
    for name in ("ann", "bob", "cyd"):
        expect(said(page, name)).to_contain_text("line 1\n")
    assert page.locator(".thread .status.good").count() == 0
    expect(page.locator(".thread .status.good")).to_have_count(3)
    for name in ("ann", "bob", "cyd"):
        assert text_of(said(page, name)) == lines(name, 40)
    expect(page.locator(".thread .run").first).to_be_visible()
    expect(page.locator("#history a")).to_contain_text(["ann, bob, cyd"])
    assert desk.complaints == []


def test_one_fails_in_its_row_and_the_others_go_on(team, desk):
    """Its thread has its last words; it can be tried again, and the others are not."""
    page = desk.page()
    ask(page, desk.server.base, ("ann", "SAY 2"), ("bob", "FAIL"))
    failed = page.locator(".thread", has=page.get_by_role("heading", name="bob"))
    expect(failed.locator(".error")).to_contain_text("the model is not there")
    expect(page.locator(".thread .status.good")).to_have_count(1)
    assert text_of(said(page, "ann")) == lines("ann", 2)
    page.get_by_role("button", name="Retry what failed").click()
    expect(failed.locator(".status")).to_have_text("failed")
    expect(failed.locator(".error")).to_be_visible()
    assert text_of(said(page, "ann")) == lines("ann", 2)
    assert desk.complaints == []


def test_one_is_stopped_and_another_is_given_its_answer(team, desk):
    """The stopped one says so in its row; the next task begins after the one that it waits for."""
    page = desk.page()
    page.goto(f"{desk.server.base}/ask")
    page.get_by_role("button", name="Add a task").click()
    first, second = page.locator(".ask-row").nth(0), page.locator(".ask-row").nth(1)
    first.get_by_label("Persona").select_option("ann")
    first.get_by_label("Prompt").fill("SAY 3")
    second.get_by_label("Persona").select_option("bob")
    second.get_by_label("Prompt").fill("SAY 100")
    second.get_by_label("Begins").select_option("0")
    second.get_by_label("Prompt").press("Control+Enter")
    expect(said(page, "ann")).to_contain_text("line 3\n")
    expect(said(page, "bob")).to_contain_text("line 2\n")
    assert page.locator(".thread .status.good").count() == 1
    page.get_by_role("button", name="Stop bob").click()
    expect(page.locator(".thread .status.bad")).to_have_count(1)
    assert "line 100" not in text_of(said(page, "bob"))
    assert desk.complaints == []


def test_a_reload_and_a_new_server_lose_nothing(team, desk):
    """All lines are there once, in order: after a reload in the middle, and after the server began anew."""
    page = desk.page()
    ask(page, desk.server.base, ("ann", "SAY 60"), ("bob", "SAY 60"))
    expect(said(page, "ann")).to_contain_text("line 5\n")
    page.reload()
    expect(said(page, "ann")).to_contain_text("line 10\n")
    assert text_of(said(page, "ann")).startswith(lines("ann", 10))
    here = page.url
    desk.server.stop()
    address = desk.server.start()
    desk.log_in(page, address)
    page.goto(here)
    expect(page.locator(".thread .status.good")).to_have_count(2, timeout=60_000)
    for name in ("ann", "bob"):
        assert text_of(said(page, name)).endswith(lines(name, 60))


def test_a_tab_that_slept_catches_up(team, desk):
    """A hidden tab does not listen; once it is seen again it has all that was said meanwhile, each line once."""
    page = desk.page()
    ask(page, desk.server.base, ("ann", "SAY 50"))
    expect(said(page, "ann")).to_contain_text("line 3\n")
    hide(page, yes=True)
    expect(page.locator("#live-state")).to_have_text("")
    heard = text_of(said(page, "ann"))
    late = desk.page()
    late.goto(page.url)
    expect(late.locator(".thread .status.good")).to_have_count(1)
    assert text_of(said(page, "ann")) == heard
    hide(page, yes=False)
    expect(page.locator(".thread .status.good")).to_have_count(1)
    assert text_of(said(page, "ann")) == lines("ann", 50)
    assert desk.complaints == []


def hide(page: Page, *, yes: bool) -> None:
    """Have a page believe that its tab is hidden, or seen again."""
    page.evaluate(
        "yes => { Object.defineProperty(document, 'hidden', {value: yes, configurable: true});"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        yes,
    )


def test_a_stream_is_not_compressed(team, desk):
    """What is compressed waits for more; pages and values are compressed, and static files are not sent twice."""
    page = desk.page()
    ask(page, desk.server.base, ("ann", "SAY 1"))
    expect(page.locator(".thread .status.good")).to_have_count(1)
    encodings = page.evaluate(
        "async id => { const of = async (at) => (await fetch(at)).headers.get('content-encoding');"
        " return [await of(`/api/asks/${id}/stream`), await of('/ask'), await of('/static/console.css')]; }",
        page.url.partition("#")[2],
    )
    again = page.request.get(f"{desk.server.base}/static/console.css")
    same = {"if-none-match": again.headers["etag"]}

    assert encodings == [None, "gzip", "gzip"]
    assert page.request.get(f"{desk.server.base}/static/console.css", headers=same).status == 304


def test_what_cannot_be_asked_is_said_and_kept(team, desk):
    """A task without a prompt is refused beside the button; the other prompt is still there."""
    page = desk.page()
    ask(page, desk.server.base, ("ann", "SAY 1"), ("bob", " "))
    expect(page.locator("#ask-error")).to_contain_text("tasks[1].prompt")
    assert page.locator(".ask-row").first.get_by_label("Prompt").input_value() == "SAY 1"


def test_a_template_fills_the_rows(team, desk):
    """Its parameters are put into the prompts, of which each can still be changed."""
    page = desk.page()
    page.goto(f"{desk.server.base}/ask")
    page.get_by_text("Templates").click()
    box = page.locator(".template", has_text="code-review")
    box.get_by_label("path").fill("poem.txt")
    box.get_by_role("button", name="Use").click()
    expect(page.locator(".ask-row").first.get_by_label("Prompt")).to_have_value(
        re.compile(r"^Review poem\.txt for trust boundaries")
    )


def test_a_run_is_watched_from_its_first_byte(team, desk):
    """Who comes late to a run sees all that it printed, and then what it prints."""
    page = desk.page()
    ask(page, desk.server.base, ("ann", "SAY 30"))
    expect(said(page, "ann")).to_contain_text("line 10\n")
    late = desk.page()
    late.goto(f"{desk.server.base}/runs?status=open")
    late.locator("td .run").first.click()
    output = late.get_by_role("log", name="Output")
    expect(output).to_contain_text("line 30\n")
    assert text_of(output) == lines("ann", 30)
    assert desk.complaints == []


def test_what_turns_or_hides_text_is_shown_as_such(team, desk):
    """In the thread while it streams, and in the output of the run, where colours of a terminal are left out."""
    page = desk.page()
    ask(page, desk.server.base, ("ann", "HIDE SAY 1"))
    expect(page.locator(".thread .status.good")).to_have_count(1)
    assert text_of(said(page, "ann")) == "all \\u202eis red\nann says line 1"
    page.locator(".thread .run").click()
    expect(page.locator("#output")).to_contain_text("line 1")
    assert text_of(page.locator("#output")) == "all \\u202eis red\nann says line 1"
    assert desk.complaints == []


def test_a_gate_to_mend_is_a_prompt_that_stands_in_the_first_row(team, desk):
    """The address has it, so that a button elsewhere can lead there."""
    page = desk.page()
    page.goto(f"{desk.server.base}/ask?persona=bob&prompt=Mend%20it.%0ANow.")
    row = page.locator(".ask-row")
    expect(row.get_by_label("Prompt")).to_have_value("Mend it.\nNow.")
    expect(row.get_by_label("Persona")).to_have_value("bob")
