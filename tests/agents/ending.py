"""The end of all that an agent has started: some leave its group, as the server of Codex and the child of Gemini."""

from __future__ import annotations

from contextlib import suppress

import psutil


def end_all_of(home: str) -> None:
    """End every process whose home folder is this one, a test's own."""
    ended: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("HOME") == home:
                process.kill()
                ended.append(process)
    psutil.wait_procs(ended, timeout=10)
