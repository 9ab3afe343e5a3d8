"""By which names the server may be called, and from which pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from starlette.datastructures import Headers
from starlette.types import Scope

from ..common.address import spelled
from ..common.answer import Refused
from ..common.console import ConsoleOptions

_FORBIDDEN, _MISDIRECTED = 403, 421
_USUAL = {"http": 80, "https": 443}
_OWN = {"same-origin", "none"}


def own_hosts(options: ConsoleOptions, public: Sequence[str], server: str) -> list[str]:
    """Return what the header Host may say: this machine, the address that was reached, and `[console] hosts`.

    A page that makes a name of its own lead here (DNS rebinding) sends that name, and an address cannot be made to
    lead elsewhere. So `server`, the address at which the request arrived, is one of them.
    """
    names = dict.fromkeys(("127.0.0.1", "localhost", "[::1]", spelled(options.host), spelled(server)))
    return [*dict.fromkeys((*(each for name in names for each in _with_port(name, options)), *map(str.lower, public)))]


def _with_port(name: str, options: ConsoleOptions) -> Iterator[str]:
    yield f"{name}:{options.port}"
    if options.port == _USUAL[options.scheme]:
        yield name


def check_names(scope: Scope, headers: Headers, options: ConsoleOptions, public: Sequence[str]) -> None:
    """Refuse a request by another name, or from another site's page. Raises Refused."""
    server = scope.get("server") or ("", 0)
    called = [each.lower() for each in headers.getlist("host")]
    if len(called) != 1 or called[0] not in own_hosts(options, public, str(server[0])):
        more = "; a name of its own behind a proxy goes into [console] hosts in team.toml"
        raise Refused(_MISDIRECTED, f"this server has another name{more}")
    origins = headers.getlist("origin")
    if origins and origins not in [[f"{scheme}://{called[0]}"] for scheme in _USUAL]:
        raise Refused(_FORBIDDEN, "the request comes from another site")
    if headers.get("sec-fetch-site", "none") not in _OWN and not _is_visit(scope, headers):
        raise Refused(_FORBIDDEN, "the request comes from another site")


def _is_visit(scope: Scope, headers: Headers) -> bool:
    """Tell whether somebody has followed a link to a page; the browser sends no cookie of ours with that."""
    of_page = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return of_page and scope["method"] in {"GET", "HEAD"} and not scope["path"].startswith("/api/")
