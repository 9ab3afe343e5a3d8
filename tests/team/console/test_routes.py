"""The table of routes: documented, each path once, and nothing that changes anything may be asked for with GET."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import textwrap
from collections import Counter
from functools import reduce
from pathlib import Path

import pytest
from team_mail.team.console.common.body import Body
from team_mail.team.console.common.route import Scope
from team_mail.team.console.routes import ROUTES, routes_table

PAGE = Path(__file__).parent.parent.parent.parent / "docs" / "console-api.md"


def test_the_page_lists_the_routes():
    """Its table is this one; `routes_table` prints it."""
    table = re.search(r"<!-- routes -->\n(.*?)\n<!-- end -->", PAGE.read_text(), re.DOTALL)
    assert table
    assert table[1] == routes_table()


def test_a_path_stands_once():
    """And comes before one whose variable would take it."""
    assert [each for each, number in Counter((r.method, r.path) for r in ROUTES).items() if number > 1] == []
    for at, route in enumerate(ROUTES):
        earlier = [r for r in ROUTES[:at] if r.method == route.method]
        taken = [r.path for r in earlier if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", r.path), route.path)]
        assert taken == [], f"{route.path} is never reached"


@pytest.mark.parametrize("route", [route for route in ROUTES if route.takes], ids=lambda route: route.path)
def test_a_body_has_no_unknown_fields(ask, route):
    """Nor is anything else than its JSON taken for it; nothing is on record after that."""
    path = re.sub(r"\{\w+\}", "1", route.path)
    assert ask.post(path, b"{").status == 400
    assert ask.post(path, b'{"a": 1, "a": 2}').status == 400
    if issubclass(route.takes, Body):
        assert ask.post(path, {"no_such_field": 1}).status == 422
        assert ask.post(path, []).status == 422


def test_only_people_act():
    """What changes the team is for those who have logged in, but for what a scope of its own allows."""
    open_to_programs = {route.path for route in ROUTES if route.changes and route.scope != Scope.ACT}
    assert open_to_programs >= {"/api/commands"}
    grave = [
        route for route in ROUTES if route.changes and re.search(r"/(approve|refuse|land|deploy|stop)$", route.path)
    ]
    assert len(grave) >= 5
    assert {route.scope for route in grave} == {Scope.ACT}
    assert {route.path for route in ROUTES if route.also} == {  # one's own, whoever one is
        "/api/asks", "/api/asks/{id}", "/api/asks/{id}/stream", "/api/asks/{id}/stop",
        "/api/asks/{id}/tasks/{task}/stop",
    }  # fmt: skip


def read_by(function, seen=frozenset()):
    """The variables of the query that a function of a route reads, by itself or by what it gives its request to."""
    names, spaces = set(), [vars(builtins), function.__globals__, inspect.getclosurevars(function).nonlocals]
    for call in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        if not isinstance(call, ast.Call):
            continue
        target = ast.unparse(call.func)
        if re.fullmatch(r"asked\.(text|number|flag|query\.get)|request\.query_params\.get", target):
            names.add(call.args[0].value if isinstance(call.args[0], ast.Constant) else "p.NAME")
        elif target in {"asked.limit", "asked.query.items"}:
            names.add("limit" if target == "asked.limit" else "p.NAME")
        elif any(isinstance(each, ast.Name) and each.id in {"asked", "request"} for each in call.args):
            head, *parts = target.split(".")
            found = next((space[head] for space in reversed(spaces) if head in space), None)
            found = reduce(lambda value, part: getattr(value, part, None), parts, found)
            if inspect.isfunction(found) and found not in seen and "team_mail.team.console" in found.__module__:
                names |= read_by(found, seen | {found})
    return names


def test_the_description_has_every_variable_of_a_query():
    """Those that a route reads, and no others, so that a program knows what it may ask for."""
    described = {(route.method, route.path): {*route.query} for route in ROUTES}
    read = {(route.method, route.path): read_by(route.answer or route.stream) for route in ROUTES}

    assert {route: names for route, names in read.items() if names != described[route]} == {}
