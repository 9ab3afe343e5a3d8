"""Routes made for pages that show several things at once: mail of a person, a letter, a run, who may be asked what.

Each is put together from what commands print.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from ....mail.clock import ALL
from ....mail.log.blobs import BlobMissing
from ....mail.log.disk import open_file
from ....mail.message import Message
from ....scheduler.errors import NoSuchRun
from ... import api
from ..common.console import Console
from ..common.route import Asked, Page, Route
from ..common.variables import described
from .mail import cut, person

MOST_TOLD, MOST_DIFF = 64 << 10, 256 << 10  # bytes of a prompt and of a patch on a page
_RECENT = 300  # runs whose costs are looked up
_FOLDERS = ("inbox", "unread", "archived", "trashed", "sent")


def mailbox(console: Console, asked: Asked) -> dict[str, Any]:
    """Return a folder of a person's mail, or what a search finds in it, and whose mail there is."""
    box, own, limit = console.context.mailbox, person(console, asked), asked.limit()
    words, folder = asked.text("q"), asked.text("folder", "inbox") or "inbox"
    before, skip = asked.number("before") or ALL, asked.number("skip") or 0
    if words:
        rows = [each.listed() for each in box.search(words, persona=own, reader=own, limit=skip + limit + 1)][skip:]
    elif folder == "sent":
        sent = box.sent(own, before=before, limit=limit + 1)
        rows = [each.message.listed() | {"states": each.states} for each in sent]
    else:
        state = folder if folder in _FOLDERS[2:] else "inbox"
        listed = box.inbox(own, unread=folder == "unread", state=state, before=before, limit=limit + 1)
        rows = [message.listed() for message in listed]
    following = None if len(rows) <= limit else skip + limit if words else rows[limit - 1]["seq"]
    return {
        "persona": own, "human": console.human, "people": _people(console), "folder": folder, "folders": [*_FOLDERS],
        "q": words, "messages": rows[:limit], "older": following,
    }  # fmt: skip


def letter(console: Console, asked: Asked) -> dict[str, Any]:
    """Return a message with its thread; bodies are cut, that of the message itself only without `whole=1`."""
    box, own = console.context.mailbox, person(console, asked)
    message = box.peek(asked.path["id"], own)
    thread = box.thread(message.id, own)[-asked.limit() :]
    shown = {each.id: _shown(each, whole=asked.flag("whole") and each.id == message.id) for each in (*thread, message)}
    return {
        "persona": own, "human": console.human, "people": _people(console), "message": shown[message.id],
        "thread": [shown[each.id] for each in thread],
    }  # fmt: skip


def _shown(message: Message, *, whole: bool) -> dict[str, Any]:
    return message.whole() | {"body_cut": False} if whole else cut(message)


def run(console: Console, asked: Asked) -> dict[str, Any]:
    """Return a run as `team trace` does, with its patch as text, and the prompt that its agent was given.

    `diff` and `told` are null if there is none; `diff_cut` and `told_cut` tell that there is more.
    """
    context = console.context
    trace = api.traces.trace_run(context, asked.path["run"])
    diff = told = b""
    with suppress(NoSuchRun, BlobMissing):
        diff = api.traces.patch_of(context, trace.run.id)
    with suppress(OSError), open_file(context.home / "runs" / trace.run.id / "prompt.md") as file:
        told = file.read(MOST_TOLD + 1)
    return {
        "trace": trace.document(), "diff": _text(diff, MOST_DIFF), "diff_cut": len(diff) > MOST_DIFF,
        "told": _text(told, MOST_TOLD), "told_cut": len(told) > MOST_TOLD,
    }  # fmt: skip


def _text(data: bytes, most: int) -> str | None:
    return data[:most].decode(errors="replace") if data else None


def asking(console: Console, asked: Asked) -> dict[str, Any]:
    """Return who may be asked, and the templates, each as rows of persona and prompt with `${NAME}` to fill in."""
    home = console.context.home
    return {
        "personas": [
            {"id": each.id, "name": each.name, "emoji": each.emoji, "description": each.description}
            for each in console.context.roster.personas
        ],
        "templates": [each | {"rows": _rows(each, console)} for each in api.team.templates(home).document()],
        "chosen": asked.text("persona"), "prompt": asked.text("prompt"),
    }  # fmt: skip


def _rows(template: dict[str, Any], console: Console) -> list[dict[str, Any]]:
    """Return the tasks of a template as rows to ask; `after` are the places of those that come before."""
    if template["problem"]:
        return []
    values = {each["name"]: f"${{{each['name']}}}" for each in template["parameters"]}
    tasks = json.loads(api.team.template(template["name"], values, console.context.home))["tasks"]
    places = {task.get("task_id"): place for place, task in enumerate(tasks)}
    return [
        {
            "persona": task.get("agent") or task.get("persona"), "prompt": task.get("description", ""),
            "after": [places[each] for each in task.get("dependencies", ()) if each in places],
        }
        for task in tasks
    ]  # fmt: skip


def agents(console: Console, asked: Asked) -> dict[str, Any]:
    """Return who works in the team, as `team agents --json`, and what each of the last runs cost, null if unknown."""
    del asked
    rows = api.agents.registry(console.context).document()
    recent = api.traces.runs(console.context, api.traces.RunFilter(), _RECENT).document()
    costs = {each["run"]: each["cost_usd"] for each in recent}
    return {"agents": rows, "costs": costs, "human": console.human}


def _people(console: Console) -> list[str]:
    """Return whose mail can be looked at, the human first."""
    names = [*(each.id for each in console.context.roster.personas), *console.context.mailbox.people()]
    return [*dict.fromkeys((console.human, *sorted(names)))]


ROUTES = (
    Route("GET", "/api/mailbox", "A folder of a person's mail, as the page of mail shows it.", mailbox,
          query=described("persona", "q", "limit", "before", "skip", folder=f"{', '.join(_FOLDERS)}."),
          page=Page("/mail", "mail.html")),
    Route("GET", "/api/letters/{id}", "A message with its thread.", letter,
          query=described("persona", "limit", "whole"), page=Page("/mail/{id}", "letter.html")),
    Route("GET", "/api/runs/{run}/whole", "A run with its patch and its prompt as text.", run,
          page=Page("/runs/{run}", "run.html")),
    Route("GET", "/api/asking", "Who may be asked, and templates of what.", asking,
          query=described(persona="Who is to be asked first.", prompt="What the first one is to be asked."),
          page=Page("/ask", "ask.html", ("/pocket",))),
    Route("GET", "/api/registry", "Who works in the team, and what the last runs cost.", agents,
          page=Page("/agents", "agents.html")),
)  # fmt: skip
