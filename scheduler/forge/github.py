"""The calls of GitHub's REST API (version 2022-11-28) that a team makes; what they answer is checked as it is read."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit

from ...mail.clock import Clock, SystemClock
from ...mail.errors import TeamMailError
from ...personas.errors import ServiceError
from ...personas.web.api import JsonApi, RateLimited
from ...personas.web.cache import FolderCache
from ...personas.web.exchange import Resolve, resolve
from ...personas.web.secret import read_token
from ...personas.web.urls import is_loopback
from ..context import Context
from ..errors import NotReady
from ..settings.github import GithubSettings
from .kinds import COMMENT, OPEN, RED, RED_STATES, REMARK, REVIEW
from .text import is_marked

_VERSION = "2022-11-28"
_PAGE = 100
_FORBIDDEN = 403
_ADVICE = {
    401: "write a new token into the file that [github] token_file names",
    403: "docs/github.md lists what the token must be allowed",
    404: "look at the number, at [github] repo, and at what the token may see",
}
_ELSE = "the forge answered with something else than its API documents; nothing of it was used"
_PACE = 1.0  # seconds between two calls that change something, as the documentation asks for


class Pull(NamedTuple):
    """A pull request. `branch` is that of its head, in the repository `source`; `base` the one that it goes into."""

    number: int
    title: str
    body: str
    url: str
    author: str
    association: str
    is_open: bool
    is_merged: bool
    branch: str
    source: str
    head: str
    base: str


class Issue(NamedTuple):
    """An issue, or a pull request as a list of issues has it."""

    number: int
    title: str
    body: str
    url: str
    author: str
    association: str
    is_open: bool
    is_pull: bool


_Item = TypeVar("_Item", Pull, Issue)


class Remark(NamedTuple):
    """What somebody said of a pull request: on a line of a file, in a review as a whole, or below it.

    `path` is there for the first of these, and `line` 0 means the whole file. `kind` tells them apart, as the forge
    numbers each kind for itself.
    """

    id: int
    author: str
    association: str
    body: str
    url: str
    kind: str
    path: str = ""
    line: int = 0
    commit: str = ""
    is_old: bool = False  # the line is one that the pull request takes away


class Check(NamedTuple):
    """A check that is red: its name, what it says, and places as path and line."""

    name: str
    url: str
    said: str
    places: tuple[tuple[str, int], ...] = ()


class Github:
    """One repository at GitHub, or at a server with the same API. One object is used by one thread.

    Its methods raise ServiceError and RateLimited.
    """

    def __init__(
        self, settings: GithubSettings, home: Path, clock: Clock | None = None, resolver: Resolve = resolve
    ) -> None:  # fmt: skip
        self.repo, self.settings = settings.repo or "", settings
        self.token_file = token_file(settings, home)
        self._clock, self._last, self._login = clock or SystemClock(), 0.0, settings.login or ""
        self._pace = 0.0 if is_loopback(urlsplit(settings.api).hostname or "") else _PACE
        self._api = JsonApi(
            settings.api, self._headers, clock=self._clock, cache=FolderCache(home / "work" / "github" / "answers"),
            private=settings.network == "private", secret=lambda: read_token(self.token_file), advice=_ADVICE,
            resolver=resolver,
        )  # fmt: skip

    def _headers(self) -> Mapping[str, str]:
        try:
            token = read_token(self.token_file)
        except ValueError as error:
            raise ValueError(f"[github] token_file {error}") from None
        accept = "application/vnd.github+json"
        return {"Authorization": f"Bearer {token}", "Accept": accept, "X-GitHub-Api-Version": _VERSION}

    def login(self) -> str:
        """Return the login whose token this is; that of an app, which the API does not tell, is a setting."""
        try:
            self._login = self._login or _text(_table(self._api.get("user")), "login")
        except ServiceError as error:
            if error.status != _FORBIDDEN:
                raise
            raise ServiceError(
                f'{error}; for the token of an app, write [github] login = "NAME[bot]"', _FORBIDDEN
            ) from None
        return self._login

    def pulls_of(self, branch: str) -> list[Pull]:
        """Return the pull requests that come from a branch of this repository, open or not, the newest first."""
        owner = self.repo.partition("/")[0]
        found = self._list("pulls", head=f"{owner}:{branch}", state="all")
        own = self.repo.casefold()  # names of repositories are the same in either case
        return [pull for pull in map(_pull, found) if pull.branch == branch and pull.source.casefold() == own]

    def pull(self, number: int) -> Pull:
        """Return a pull request."""
        return _named(_pull(self._api.get(self._path(f"pulls/{number}"))), number)

    def open_pull(self, title: str, body: str, branch: str, base: str) -> Pull:
        """Open a pull request from a branch of this repository."""
        return _pull(self._send("POST", "pulls", {"title": title, "body": body, "head": branch, "base": base}))

    def change_pull(self, number: int, body: str) -> Pull:
        """Give a pull request another body."""
        return _pull(self._send("PATCH", f"pulls/{number}", {"body": body}))

    def remarks(self, number: int) -> list[Remark]:
        """Return what is said of a pull request, the oldest of each kind first: on its lines, in reviews, below it.

        What says nothing, and what the team wrote below it, is left out.
        """
        lines = [_remark(each) for each in self._list(f"pulls/{number}/comments")]
        reviews = [_whole(each, REVIEW) for each in self._list(f"pulls/{number}/reviews")]
        below = [_whole(each, COMMENT) for each in self._list(f"issues/{number}/comments")]
        return [*lines, *(each for each in (*reviews, *below) if each.body.strip() and not is_marked(each.body))]

    def red_checks(self, commit: str) -> list[Check]:
        """Return the checks and statuses of a commit that are red."""
        path = self._path(f"commits/{commit}/check-runs")
        runs = map(_table, self._api.pages(path, "check_runs", per_page=_PAGE))
        red = [self._check(each) for each in runs if _text(each, "conclusion") in RED]
        status = _table(self._api.get(self._path(f"commits/{commit}/status"), per_page=_PAGE))
        rows = map(_table, _rows(status.get("statuses") or []))
        return red + [
            Check(_text(each, "context"), _text(each, "target_url"), _text(each, "description"))
            for each in rows
            if _text(each, "state") in RED_STATES
        ]

    def _check(self, run: Mapping[str, Any]) -> Check:
        output = _table(run.get("output") or {})
        said = "\n".join(part for name in ("title", "summary") if (part := _text(output, name)))
        places: list[tuple[str, int]] = []
        if output.get("annotations_count"):
            rows = map(_table, self._list(f"check-runs/{_number(run, 'id')}/annotations"))
            places = [(_text(each, "path"), _number(each, "start_line")) for each in rows]
        return Check(_text(run, "name"), _text(run, "html_url"), said, tuple(dict.fromkeys(places)))

    def issue(self, number: int) -> Issue:
        """Return an issue."""
        return _named(_issue(self._api.get(self._path(f"issues/{number}"))), number)

    def labelled(self, label: str) -> list[Issue]:
        """Return the open issues and pull requests with a label, the oldest first."""
        return [_issue(each) for each in self._list("issues", labels=label, state=OPEN)][::-1]

    def comments(self, number: int) -> list[tuple[int, str, str]]:
        """Return the comments of an issue or pull request, the oldest first: id, author and text."""
        rows = map(_table, self._list(f"issues/{number}/comments"))
        return [(_number(each, "id"), _author(each), _text(each, "body")) for each in rows]

    def comment(self, number: int, text: str) -> int:
        """Write a comment, and return its id."""
        return _number(_table(self._send("POST", f"issues/{number}/comments", {"body": text})), "id")

    def change_comment(self, id: int, text: str) -> None:
        """Let a comment say something else."""
        self._send("PATCH", f"issues/comments/{id}", {"body": text})

    def _path(self, rest: str) -> str:
        return f"repos/{self.repo}/{rest}"

    def _list(self, rest: str, **query: str) -> Iterator[Any]:
        return self._api.pages(self._path(rest), per_page=_PAGE, **query)

    def _send(self, method: str, rest: str, value: Mapping[str, Any]) -> Any:
        pause = self._last + self._pace - self._clock.monotonic()
        if self._last and pause > 0:
            self._clock.sleep(pause)
        try:
            return self._api.send(method, self._path(rest), value)
        finally:
            self._last = self._clock.monotonic()


class Troubles:
    """What hinders a part of what is done at the forge, so that the other parts are done before it is raised."""

    first: TeamMailError | None = None

    @contextmanager
    def kept(self) -> Generator[None]:
        """Keep what is raised within, unless it is that the forge gives no answer, or takes no more calls."""
        try:
            yield
        except TeamMailError as error:
            if isinstance(error, ServiceError) and (not error.status or isinstance(error, RateLimited)):
                raise
            self.first = self.first or error

    def end(self) -> None:
        """Raise what was kept first."""
        if self.first:
            raise self.first


def open_github(context: Context) -> Github:
    """Return the repository that `[github]` names. Raises NotReady if the settings name none."""
    if not context.settings.github.repo:
        raise NotReady('no forge is set up: add [github] with repo = "octo/app" and token_file to .team/team.toml')
    return Github(context.settings.github, context.home, context.clock)


def token_file(settings: GithubSettings, home: Path) -> Path:
    """Return the file with the token; its path starts from the folder that holds `.team`."""
    return home.absolute().parent / (settings.token_file or "")


def _table(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ServiceError(_ELSE)
    return cast("dict[str, Any]", value)


def _rows(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ServiceError(_ELSE)
    return cast("list[Any]", value)


def _text(table: Mapping[str, Any], name: str) -> str:
    """Return a text that can be written anywhere: JSON may name half a character, which UTF-8 has no bytes for."""
    value = table.get(name)
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


def _number(table: Mapping[str, Any], name: str) -> int:
    value = table.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _author(table: Mapping[str, Any]) -> str:
    return _text(_table(table.get("user") or {}), "login")


def _pull(value: Any) -> Pull:
    table = _table(value)
    head, base = _table(table.get("head") or {}), _table(table.get("base") or {})
    source = _text(_table(head.get("repo") or {}), "full_name")  # a fork may be gone
    return Pull(
        _numbered(table), _text(table, "title"), _text(table, "body"), _text(table, "html_url"), _author(table),
        _text(table, "author_association"), table.get("state") == OPEN, bool(table.get("merged_at")),
        _text(head, "ref"), source, _text(head, "sha"), _text(base, "ref"),
    )  # fmt: skip


def _issue(value: Any) -> Issue:
    table = _table(value)
    return Issue(
        _numbered(table), _text(table, "title"), _text(table, "body"), _text(table, "html_url"), _author(table),
        _text(table, "author_association"), table.get("state") == OPEN, "pull_request" in table,
    )  # fmt: skip


def _numbered(table: Mapping[str, Any]) -> int:
    number = _number(table, "number")
    if number < 1:
        raise ServiceError("the forge answered without a number; nothing of it was used")
    return number


def _named(item: _Item, number: int) -> _Item:
    """Return what was asked for by its number. Raises ServiceError for another one."""
    if item.number != number:
        raise ServiceError(f"the forge answered with number {item.number} for {number}; nothing of it was used")
    return item


def _remark(value: Any) -> Remark:
    """Read a comment on a line, at the place where it was made, which later pushes do not move."""
    table = _table(value)
    line = _number(table, "original_line") or _number(table, "line")
    commit = _text(table, "original_commit_id") or _text(table, "commit_id")
    return Remark(
        _number(table, "id"), _author(table), _text(table, "author_association"), _text(table, "body"),
        _text(table, "html_url"), REMARK, _text(table, "path"), line, commit, table.get("side") == "LEFT",
    )  # fmt: skip


def _whole(value: Any, kind: str) -> Remark:
    table = _table(value)
    return Remark(
        _number(table, "id"), _author(table), _text(table, "author_association"), _text(table, "body"),
        _text(table, "html_url"), kind,
    )  # fmt: skip
