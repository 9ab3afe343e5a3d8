"""What a server tells of itself: whether it is there, which models it has, and how many tokens one takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from ...mail.clock import Clock
from ...mail.text.escape import line
from ...mail.text.nearest import nearest
from ...mail.text.units import and_more
from ..errors import ServiceError
from ..web.api import JsonApi, NotCalled
from ..web.exchange import Resolve
from ..web.urls import is_loopback
from .orders import CONTEXT, ChatError, Orders

KEY, MISSING, BAD = frozenset({401, 403}), 404, 400  # statuses of HTTP
UNTOLD = "as nobody says otherwise: set context if that is wrong"
_QUICK = 5.0  # seconds for a question
_MOST_LISTED = 20
_NUM_CTX = re.compile(r"^num_ctx\s+(\d+)", re.MULTILINE)
_SIZES = ("max_model_len", "context_length", "loaded_context_length", "context_window")  # of an entry of a list
_MOVED = range(300, 400)  # no redirect is followed
_TLS = re.compile(r"\bTLS\b|\bcertificate\b")
_START = (
    "start it (`ollama serve`, `llama-server -m MODEL --jinja`, `vllm serve MODEL`, or the server of LM Studio), "
    "or correct base_url"
)


@dataclass(frozen=True)
class ServerFacts:
    """Asks a server about itself and one model."""

    orders: Orders
    key: str
    clock: Clock
    resolver: Resolve

    def api(self, base: str, limit: float, patience: float) -> JsonApi:
        """Return the API below an address, with the key; the times are those of `JsonApi`."""
        return JsonApi(
            base, self._headers, clock=self.clock, patience=patience, pauses=(), limit=limit, private=True,
            secret=lambda: self.key, resolver=self.resolver,
        )  # fmt: skip

    def check(self) -> str:
        """Return what the server tells of the model, in a few words. Raises ChatError if it cannot be asked."""
        try:
            self._models()
        except ServiceError as error:
            if error.status in KEY:
                raise ChatError(f"{error}; {self.about_key}", hopeless=True) from None
            if not error.status or error.status in _MOVED or (error.status == MISSING and self._is_bare):
                raise ChatError(self.explained(error)) from None
            return f"it lists no models: {error}"  # some gateways do not
        if why := self.wrong_model():
            raise ChatError(why, hopeless=True)
        size, where = self.context()
        return f"{self.orders.model} is there; context {size:,} tokens, {where}"

    def wrong_model(self) -> str:
        """Say which models there are if the one that is asked for is none of them; "" if it is, or nobody knows."""
        try:
            names = [str(model["id"]) for model in self._models()]
        except ServiceError:
            return ""
        if not names or self._names.intersection(names):
            return ""
        close = nearest(self.orders.model, names, most=_MOST_LISTED, cutoff=0.3)
        shown = [line(name) for name in (*close, *(name for name in names if name not in close))][:_MOST_LISTED]
        more = f" {and_more(len(names) - len(shown))}" if len(names) > len(shown) else ""
        host = urlsplit(self.orders.base_url).hostname
        return f"{host} has no model {line(self.orders.model)!r}; it has {', '.join(shown)}{more}"

    @property
    def about_key(self) -> str:
        """What to do where the server refuses the key."""
        if self.orders.key:
            return f"look at {self.orders.key}"
        return "name the variable with its key in env, or write it into the file that env_file names"

    def explained(self, error: ServiceError) -> str:
        """Say of an error what to do where no server answers, or another one."""
        if isinstance(error, NotCalled) or (error.was_sent and not error.status):
            return str(error)
        if not error.status and _TLS.search(str(error)):
            return (
                f"{error}; look at base_url ({self.orders.base_url}), and whether this machine trusts its certificate"
            )
        if not error.status:
            what = _START if self._is_here else "look at base_url, and whether the server is up"
            return f"no server answers at {self.orders.base_url} ({error}); {what}"
        if error.status == MISSING and self._is_bare:
            return f"{error}; base_url usually ends with /v1"
        return str(error)

    def context(self) -> tuple[int, str]:
        """Return how many tokens the model takes, and who says so."""
        if self.orders.context:
            return self.orders.context, "as context says"
        asked = [("as /models says", self._of_models)]
        if self.orders.base_url.startswith("http://"):  # servers of others are asked for nothing beside the protocol
            asked += [
                ("as llama.cpp says", self._of_llama_cpp),
                ("as LM Studio says", self._of_lm_studio),
                ("as Ollama says", self._of_ollama),
            ]
        for where, ask in asked:
            if size := _asked(ask):
                return size, where
        return CONTEXT, UNTOLD

    @property
    def _names(self) -> set[str]:
        return {self.orders.model, f"{self.orders.model}:latest"}

    def _models(self) -> list[dict[str, Any]]:
        """Return the models of the server, each an object with its `id`."""
        answer = self._quick(self.orders.base_url).get("models")
        listed = cast("dict[str, Any]", answer).get("data") if isinstance(answer, dict) else answer
        items = cast("list[Any]", listed) if isinstance(listed, list) else []
        rows = [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]
        return [row for row in rows if isinstance(row.get("id"), str)]

    def _of_models(self) -> Any:
        """Ask for what vLLM, OpenRouter and others add to the list of models."""
        own = next(row for row in self._models() if row["id"] in self._names)
        return next((own[name] for name in _SIZES if own.get(name)), None)

    def _of_llama_cpp(self) -> Any:
        return self._quick(self._root).get("props")["default_generation_settings"]["n_ctx"]

    def _of_lm_studio(self) -> Any:
        """Ask for the context of a model that is loaded: how it loads one is not what it could take at most."""
        models = self._quick(self._root).get("api/v0/models")["data"]
        own = next(each for each in models if each["id"] in self._names)
        return own.get("loaded_context_length") or (own["max_context_length"] if own.get("state") == "loaded" else 0)

    def _of_ollama(self) -> Any:
        """Ask for the context that Ollama runs the model with, which is usually less than the model could take."""
        shown = self._quick(self._root).send("POST", "api/show", {"model": self.orders.model})
        if match := _NUM_CTX.search(str(shown.get("parameters", ""))):
            return int(match[1])
        running = self._quick(self._root).get("api/ps")["models"]
        return next(each["context_length"] for each in running if each["name"] in self._names)

    @property
    def _is_here(self) -> bool:
        return is_loopback(urlsplit(self.orders.base_url).hostname or "")

    @property
    def _is_bare(self) -> bool:
        return not urlsplit(self.orders.base_url).path.strip("/")

    @property
    def _root(self) -> str:
        return self.orders.base_url.removesuffix("/v1")

    def _quick(self, base: str) -> JsonApi:
        return self.api(base, _QUICK, 0.0)

    def _headers(self) -> Mapping[str, str]:
        if not self.key.isascii() or not self.key.isprintable():
            raise ValueError(f"{self.orders.key} holds no key: it has signs that none has")
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}


def _asked(ask: Callable[[], Any]) -> int:
    """Return a size that a server tells, 0 if it tells none."""
    try:
        size = ask()
    except (ServiceError, LookupError, AttributeError, TypeError, ValueError, StopIteration):
        return 0
    return size if type(size) is int and size > 0 else 0
