"""A process that writes numbered lines of diagnostics: writer.py FOLDER NAME LINES SIZE KEEP."""

import logging
import sys
from pathlib import Path

from team_mail.scheduler.settings.notify import LoggingSettings
from team_mail.team.diagnostics.diagnostics import Diagnostics, Wanted

folder, name, lines, size, keep = sys.argv[1:]
settings = LoggingSettings(file=str(Path(folder) / "{program}-{pid}.jsonl"), keep=int(keep))
settings = settings.model_copy(update={"rotate": int(size)})
with Diagnostics(name, settings, Wanted()) as diagnostics:
    for number in range(int(lines)):
        diagnostics.write(logging.INFO, f"line {number}", event="a.test", seconds=number)
