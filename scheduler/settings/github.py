"""The table of the forge whose pull requests and issues the team works with."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from ...personas.web.urls import endpoint
from .supervision import Table
from .values import Branch, Limit, Name

_PUBLIC = "https://api.github.com"
_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}")
Association = Literal["OWNER", "MEMBER", "COLLABORATOR", "CONTRIBUTOR"]


def _repo(name: str) -> str:
    if not _REPO.fullmatch(name) or name.endswith(("/.", "/..", ".git")):
        raise ValueError(f'is {name!r}, and must be the owner and the name of a repository: "octo/app"')
    return name


def _api(url: str) -> str:
    return endpoint(url, private=True)  # whether it may be is another key


def _remote(place: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]+", place) or place.startswith("-") or "::" in place:
        raise ValueError("must be an address that git pushes to, or the name of a remote of this repository")
    parts = urlsplit(place) if "://" in place else None
    if parts and parts.password is not None:
        raise ValueError("must hold no password: put a token into the file that token_file names")
    return place


class GithubSettings(Table):
    """`[github]`: the repository at GitHub, or at a server with the same API, that pull requests are opened in.

    Without a `repo` nothing is. `api` is the base address of its API, in a `network` that may be private, and `remote`
    where git pushes to and fetches from, by default the repository beside the API. `base` is the branch there that pull
    requests go into, by default `[team] base`. `publish` says whether sprints are published when they end. Pull
    requests and issues with one of `labels` are taken by themselves, from the `authors` that the API calls so, and
    issues are written to a persona, `to`.
    `login` is whose token it is, where the API does not tell. `poll` are seconds between two looks, and webhooks with
    the secret in a file make one at once.
    """

    repo: Annotated[str, AfterValidator(_repo)] | None = None
    token_file: Annotated[str, Field(min_length=1)] | None = None
    api: Annotated[str, AfterValidator(_api)] = _PUBLIC
    remote: Annotated[str, AfterValidator(_remote)] | None = None
    network: Literal["public", "private"] = "public"
    base: Branch | None = None
    publish: Literal["no", "pr"] = "no"
    labels: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = ()
    authors: tuple[Association, ...] = ("OWNER", "MEMBER", "COLLABORATOR")
    to: Name | None = None
    poll: Annotated[Limit, Field(ge=10)] = 300.0
    login: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,38}(\[bot\])?$")] | None = None
    webhook_secret_file: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.repo and not self.token_file:
            raise ValueError('says no token_file: write token_file = "../github.token", a file that holds a token')
        if not self.repo and (self.publish != "no" or self.labels):
            raise ValueError('says no repo: write repo = "octo/app", the owner and the name of the repository')
        try:
            endpoint(self.api, private=self.network == "private")
        except ValueError as error:
            raise ValueError(f'has an api that {error}; network = "private" allows it') from None
        return self

    @property
    def git_address(self) -> str:
        """Where git pushes to and fetches from."""
        if self.remote:
            return self.remote
        if self.api == _PUBLIC:
            return f"https://github.com/{self.repo}.git"
        parts = urlsplit(self.api)
        return f"{parts.scheme}://{parts.netloc}/{self.repo}.git"
