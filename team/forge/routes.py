"""The routes of the fake forge, a function each: who asks and what is given, to a value and its status.

As documented for version 2022-11-28 of GitHub's REST API, in the part that team-mail and a user with curl need.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .repository import Invalid, Repository

OK, CREATED = 200, 201
_FIELDS = ("title", "body", "state")
_PLACE = ("path", "line", "side", "start_line", "subject_type")


@dataclass(frozen=True)
class Asked:
    """A request: who asks, the parameters of its address, and the JSON object of its body."""

    login: str
    query: Mapping[str, str]
    given: Mapping[str, Any] = field(default_factory=dict[str, Any])


Result = tuple[int, Any]
Act = Callable[..., Result]


def answer(repository: Repository, method: str, path: str, asked: Asked) -> Result:
    """Return the status and the value of a request; a value that is a list is paged by whoever sends it.

    Raises Invalid.
    """
    repository.refresh()
    for verb, pattern, act in ROUTES:
        match = re.fullmatch(pattern, path)
        if match and verb == method:
            repo = match.groupdict().get("repo")
            if repo not in {None, f"{repository.owner}/{repository.name}"}:
                raise Invalid(404, "Not Found")
            words = [word for name, word in match.groupdict().items() if name != "repo"]
            try:
                return act(repository, asked, *(int(word) if word.isdecimal() else word for word in words))
            except KeyError:
                raise Invalid(404, "Not Found") from None
    raise Invalid(404, "Not Found")


def _user(repository: Repository, asked: Asked) -> Result:
    return OK, repository.user(asked.login)


def _repo(repository: Repository, _: Asked) -> Result:
    name = f"{repository.owner}/{repository.name}"
    return OK, {"full_name": name, "private": True, "default_branch": repository.git("symbolic-ref", "--short", "HEAD")}


def _issues(repository: Repository, asked: Asked) -> Result:
    """List issues and pull requests, which the API takes for issues, the newest first."""
    wanted = {label for label in asked.query.get("labels", "").split(",") if label}
    state = asked.query.get("state", "open")
    pulls: dict[int, dict[str, Any]] = {
        number: pull | {"pull_request": {"url": ""}} for number, pull in repository.pulls.items()
    }
    every = sorted((repository.issues | pulls).items(), reverse=True)
    shown = [each for _, each in every if state in {"all", each["state"]} and wanted <= _labels(each)]
    return OK, [_without(each, "head", "base") for each in shown]


def _labels(issue: Mapping[str, Any]) -> set[str]:
    return {str(label["name"]) for label in issue["labels"]}


def _open_issue(repository: Repository, asked: Asked) -> Result:
    labels = tuple(map(str, asked.given.get("labels", ())))
    return CREATED, repository.open_issue(asked.login, _required(asked, "title"), _body(asked), labels)


def _issue(repository: Repository, _: Asked, number: int) -> Result:
    if number in repository.pulls:
        return OK, repository.pulls[number] | {"pull_request": {"url": ""}}
    return OK, repository.issues[number]


def _change_issue(repository: Repository, asked: Asked, number: int) -> Result:
    issue = repository.pulls.get(number) or repository.issues[number]
    issue |= {name: asked.given[name] for name in _FIELDS if name in asked.given}
    return OK, issue


def _label(repository: Repository, asked: Asked, number: int) -> Result:
    issue = repository.pulls.get(number) or repository.issues[number]
    names = dict.fromkeys([*(str(label["name"]) for label in issue["labels"]), *asked.given.get("labels", ())])
    issue["labels"] = [{"name": name} for name in names]
    return OK, issue["labels"]


def _comments(repository: Repository, _: Asked, number: int) -> Result:
    return OK, [each for each in repository.comments.values() if each["number"] == number]


def _comment(repository: Repository, asked: Asked, number: int) -> Result:
    _issue(repository, asked, number)
    return CREATED, repository.add_comment(asked.login, number, _required(asked, "body"))


def _change_comment(repository: Repository, asked: Asked, id: int) -> Result:
    comment = repository.comments[id]
    if comment["user"]["login"] != asked.login:
        raise Invalid(403, "Must have admin rights to Repository.")
    comment |= {"body": _required(asked, "body"), "updated_at": repository.now()}
    return OK, comment


def _pulls(repository: Repository, asked: Asked) -> Result:
    head, state, base = (asked.query.get(name, "") for name in ("head", "state", "base"))
    shown = [
        pull
        for _, pull in sorted(repository.pulls.items(), reverse=True)
        if (state or "open") in {"all", pull["state"]}
        and head in {"", pull["head"]["label"]}
        and base in {"", pull["base"]["ref"]}
    ]
    return OK, shown


def _open_pull(repository: Repository, asked: Asked) -> Result:
    _required(asked, "title")
    return CREATED, repository.open_pull(asked.login, asked.given)


def _pull(repository: Repository, _: Asked, number: int) -> Result:
    return OK, repository.pulls[number]


def _change_pull(repository: Repository, asked: Asked, number: int) -> Result:
    pull = repository.pulls[number]
    pull |= {name: asked.given[name] for name in _FIELDS if name in asked.given}
    return OK, pull


def _remarks(repository: Repository, _: Asked, number: int) -> Result:
    return OK, [each for each in repository.remarks.values() if each["number"] == number]


def _remark(repository: Repository, asked: Asked, number: int) -> Result:
    commit = str(asked.given.get("commit_id") or repository.pulls[number]["head"]["sha"])
    place = {name: asked.given.get(name) for name in _PLACE}
    said: dict[str, Any] = repository.said(asked.login, _required(asked, "body")) | place
    said |= {"number": number, "commit_id": commit, "original_commit_id": commit, "original_line": place["line"]}
    said |= {"side": place["side"] or "RIGHT", "subject_type": place["subject_type"] or "line"}
    said["html_url"] = f"https://forge.example/{repository.owner}/{repository.name}/pull/{number}#r{said['id']}"
    repository.remarks[said["id"]] = said
    return CREATED, said


def _reviews(repository: Repository, _: Asked, number: int) -> Result:
    return OK, [each for each in repository.reviews.values() if each["number"] == number]


def _review(repository: Repository, asked: Asked, number: int) -> Result:
    state = {"REQUEST_CHANGES": "CHANGES_REQUESTED", "APPROVE": "APPROVED"}.get(
        str(asked.given.get("event")), "COMMENTED"
    )
    said: dict[str, Any] = repository.said(asked.login, _body(asked)) | {"number": number, "state": state}
    said["commit_id"] = repository.pulls[number]["head"]["sha"]
    said["html_url"] = f"https://forge.example/{repository.owner}/{repository.name}/pull/{number}#v{said['id']}"
    repository.reviews[said["id"]] = said
    return OK, said


def _merge(repository: Repository, asked: Asked, number: int) -> Result:
    return OK, repository.merge(number, asked.given)


def _checks(repository: Repository, _: Asked, commit: str) -> Result:
    own = [each for each in repository.checks.values() if each["head_sha"] == commit]
    runs = [_without(each, "annotations") for each in own]
    return OK, {"total_count": len(runs), "check_runs": runs}


def _check(repository: Repository, asked: Asked) -> Result:
    return CREATED, repository.add_check(asked.given)


def _annotations(repository: Repository, _: Asked, id: int) -> Result:
    return OK, repository.checks[id]["annotations"]


def _status(repository: Repository, _: Asked, commit: str) -> Result:
    return OK, repository.combined(str(commit))


def _set_status(repository: Repository, asked: Asked, commit: str) -> Result:
    state = {"id": repository.new_id(), "sha": str(commit), "context": "default", "description": None}
    state |= {
        name: asked.given[name] for name in ("state", "context", "description", "target_url") if name in asked.given
    }
    repository.statuses.append(state)
    return CREATED, state


def _without(value: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: each for name, each in value.items() if name not in names}


def _required(asked: Asked, name: str) -> str:
    value = asked.given.get(name)
    if not isinstance(value, str) or not value:
        raise Invalid(422, "Validation Failed", {"field": name, "code": "missing_field"})
    return value


def _body(asked: Asked) -> str:
    return str(asked.given.get("body") or "")


_REPO = r"/repos/(?P<repo>[^/]+/[^/]+)"
_NUMBER, _ID, _SHA = r"(?P<number>\d+)", r"(?P<id>\d+)", r"(?P<commit>[0-9a-f]{40})"
ROUTES: tuple[tuple[str, str, Act], ...] = (
    ("GET", "/user", _user),
    ("GET", _REPO, _repo),
    ("GET", f"{_REPO}/issues", _issues),
    ("POST", f"{_REPO}/issues", _open_issue),
    ("GET", f"{_REPO}/issues/{_NUMBER}", _issue),
    ("PATCH", f"{_REPO}/issues/{_NUMBER}", _change_issue),
    ("POST", f"{_REPO}/issues/{_NUMBER}/labels", _label),
    ("GET", f"{_REPO}/issues/{_NUMBER}/comments", _comments),
    ("POST", f"{_REPO}/issues/{_NUMBER}/comments", _comment),
    ("PATCH", f"{_REPO}/issues/comments/{_ID}", _change_comment),
    ("GET", f"{_REPO}/pulls", _pulls),
    ("POST", f"{_REPO}/pulls", _open_pull),
    ("GET", f"{_REPO}/pulls/{_NUMBER}", _pull),
    ("PATCH", f"{_REPO}/pulls/{_NUMBER}", _change_pull),
    ("GET", f"{_REPO}/pulls/{_NUMBER}/comments", _remarks),
    ("POST", f"{_REPO}/pulls/{_NUMBER}/comments", _remark),
    ("GET", f"{_REPO}/pulls/{_NUMBER}/reviews", _reviews),
    ("POST", f"{_REPO}/pulls/{_NUMBER}/reviews", _review),
    ("PUT", f"{_REPO}/pulls/{_NUMBER}/merge", _merge),
    ("GET", f"{_REPO}/commits/{_SHA}/check-runs", _checks),
    ("POST", f"{_REPO}/check-runs", _check),
    ("GET", f"{_REPO}/check-runs/{_ID}/annotations", _annotations),
    ("GET", f"{_REPO}/commits/{_SHA}/status", _status),
    ("POST", f"{_REPO}/statuses/{_SHA}", _set_status),
)
