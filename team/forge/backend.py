"""Git over HTTP for the fake forge: `git http-backend`, the program that comes with git, as a CGI."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

_PASSED = {"Content-Type": "CONTENT_TYPE", "Content-Encoding": "HTTP_CONTENT_ENCODING", "Git-Protocol": "GIT_PROTOCOL"}


class Served(NamedTuple):
    """What git answers: the status, the headers and the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def serve(root: Path, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, who: str) -> Served:  # noqa: PLR0917
    """Answer a request of git to a repository below `root`; `who` has shown who it is, and may push."""
    environment = {
        "GIT_PROJECT_ROOT": str(root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path, "QUERY_STRING": query,
        "REQUEST_METHOD": method, "REMOTE_USER": who, "CONTENT_LENGTH": str(len(body)),
        "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "PATH": "/usr/local/bin:/usr/bin:/bin",
    }  # fmt: skip
    environment |= {variable: headers[name] for name, variable in _PASSED.items() if name in headers}
    ended = subprocess.run(
        ["git", "http-backend"],  # noqa: S607
        input=body, env=environment, capture_output=True, check=False,
    )  # fmt: skip
    head, _, content = ended.stdout.partition(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line)
    status = fields.pop("Status", "200" if ended.stdout else "500")
    return Served(int(status.split(" ")[0]), fields, content)
