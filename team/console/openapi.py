"""The description of the API for programs, OpenAPI 3.1, made of the table of routes and the models of bodies."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from pydantic.json_schema import models_json_schema

from .access.caller import Scope
from .common.route import Route

_VARIABLE = re.compile(r"{(\w+)(?::(\w+))?}")  # of a path: its name, and what Starlette makes of it
_NUMBERS = {"int": "integer", "float": "number"}
_REFERENCE = "#/components/schemas/{model}"
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "What is wrong, and what to do."}},
}
_SCHEMES = {
    "token": {"type": "http", "scheme": "bearer", "description": "`team console token create NAME --scope …`"},
    "login": {"type": "apiKey", "in": "cookie", "name": "team_console", "description": "A person who has logged in."},
}


def describe(routes: Sequence[Route], servers: Sequence[str]) -> dict[str, Any]:
    """Return the document that describes the routes, as JSON. `servers` are the addresses at which they are reached."""
    models = [(route.takes, "validation") for route in routes if route.takes]
    references, definitions = models_json_schema([*dict.fromkeys(models)], ref_template=_REFERENCE)  # type: ignore[arg-type]
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        body = references[route.takes, "validation"] if route.takes else None
        path = _VARIABLE.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, body)
    return {
        "openapi": "3.1.0",
        "info": {"title": "team console", "version": version("team-mail"), "summary": "A team of AI coding agents."},
        "servers": [{"url": server} for server in servers],
        "paths": paths,
        "components": {
            "schemas": {**definitions.get("$defs", {}), "Error": _ERROR},
            "securitySchemes": _SCHEMES,
        },
    }


def _operation(route: Route, body: Mapping[str, Any] | None) -> dict[str, Any]:
    media = "text/event-stream" if route.stream else "application/json"
    failed = {"application/json": {"schema": {"$ref": _REFERENCE.format(model="Error")}}}
    operation: dict[str, Any] = {
        "operationId": operation_id(route),
        "summary": route.about,
        "parameters": [
            *map(_variable, _VARIABLE.findall(route.path)),
            *map(_queried, route.query.items()),
        ],
        "responses": {
            str(route.status): {"description": "Done.", "content": {media: {}}},
            "default": {"description": "Refused, or failed.", "content": failed},
        },
        "security": [
            *({"token": [scope]} for scope in route.scopes if scope != Scope.ACT),
            *([] if route.is_open else [{"login": []}]),
        ],
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


def _variable(named: tuple[str, str]) -> dict[str, Any]:
    name, form = named
    return {"name": name, "in": "path", "required": True, "schema": {"type": _NUMBERS.get(form, "string")}}


def _queried(told: tuple[str, str]) -> dict[str, Any]:
    name, meaning = told
    return {"name": name, "in": "query", "description": meaning, "schema": {"type": "string"}}


def operation_id(route: Route) -> str:
    """Return the name of a route for programs, made of its method and path: `get_runs_by_run_output`."""
    below = route.path.removeprefix("/api/") if route.path.startswith("/api/") else f"root{route.path}"
    path = _VARIABLE.sub(r"by_\1", below)
    return "_".join(filter(None, re.split(r"\W+", f"{route.method.lower()}/{path}")))
