"""`team-mail` as a shell finds it, for tests that follow the commands of a mail.

STAND-IN: as long as the installed `team-mail` has no `attachment`, a script of that name does what it is to do. Once
it has, `path_with_mail` is the folder of the installed one, and the rest of this file can go.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

_SCRIPTS = Path(sys.executable).parent
_STAND_IN = f"""#!{sys.executable}
import os, sys
from pathlib import Path
from team_mail.mail.log.blobs import Blobs
from team_mail.mail.log.log import EventLog

word, run, *more = sys.argv[1:]
assert word == "attachment"
home = Path(os.environ.get("TEAM_HOME", ".team")) / "mail"
reader = more[more.index("--persona") + 1] if more else os.environ["TEAM_PERSONA"]
mails = [
    event.data for event in EventLog(home).read()
    if event.kind == "mail.sent" and reader in event.recipients
    and (event.data.get("payload") or {{}}).get("run") == run
]
sys.stdout.buffer.write(Blobs(home / "blobs").read(mails[-1]["attachments"][0]["sha256"]))
"""


def path_with_mail(folder: Path) -> str:
    """Return a PATH with `team-mail` and git on it; `folder` is a place for the stand-in."""
    if _has_attachment():
        return f"{_SCRIPTS}:/usr/bin:/bin"
    script = folder / "bin" / "team-mail"
    script.parent.mkdir(exist_ok=True)
    script.write_text(_STAND_IN)
    script.chmod(0o755)
    return f"{script.parent}:/usr/bin:/bin"


@cache
def _has_attachment() -> bool:
    return not subprocess.run(
        [_SCRIPTS / "team-mail", "attachment", "--help"], capture_output=True, check=False
    ).returncode
