"""Record the terminal picture of the README: run the quick demo and draw what it printed, as docs/demo.svg.

    python docs/record.py [FILE]

Nothing is invented: every line is the command's own, in its order. The lists of conflicts and commits, the mail shown
whole, and the hints at the end are left out, because the picture has no room for them.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

COMMAND = "team demo --quick"
WIDTH = 108
STYLES = {
    r"^\$ .*": "bold",
    r"^[A-Z].*|^tick \d.*|^weave: .*": "bold cyan",
    r"^  landed ": "green",
    r"^  conflict ": "yellow",
    r" failed in ": "red",
    r"\bConflict with\b": "yellow",
    r"Sprint 1 converged, 7 landed": "bold green",
}
THEME = TerminalTheme(
    (24, 26, 31),
    (214, 217, 224),
    [(24, 26, 31), (224, 108, 117), (126, 200, 120), (229, 192, 90), (97, 175, 239), (198, 120, 221), (86, 190, 200),
     (214, 217, 224)],
)  # fmt: skip


def recorded() -> list[str]:
    """Run the demo, its progress and its result as on a terminal, and keep the lines that are to be shown."""
    words = [sys.executable, "-m", "team_mail.team.commands.team", "demo", "--quick"]
    with tempfile.TemporaryDirectory() as folder:
        ended = subprocess.run(  # noqa: S603
            [*words, f"{folder}/demo"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
        )
    return [f"$ {COMMAND}", *shown(ended.stdout)]


def shown(output: str) -> list[str]:
    """Leave out the folder's name, conflicts and commits, which the progress has told, and where to look next."""
    output = re.sub(r"^Conflicts, and .*?(?=^Your mail$)", "", output, flags=re.DOTALL | re.MULTILINE)
    output = output.partition("\nLook around")[0]
    output = re.sub(r"\n\n+", "\n", output)
    return [line for line in output.splitlines() if not line.startswith("  folder ")]


def drawn(lines: list[str]) -> str:
    """Draw the lines as a terminal in SVG, without the fonts that rich would load from elsewhere."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), color_system="truecolor", force_terminal=True)
    for line in lines:
        text = Text(line, no_wrap=True, overflow="ellipsis")
        for pattern, style in STYLES.items():
            text.highlight_regex(pattern, style)
        console.print(text)
    picture = console.export_svg(title="team-mail", theme=THEME, unique_id="demo")
    picture = re.sub(r"\s*@font-face \{.*?\n    \}", "", picture, flags=re.DOTALL)
    picture = re.sub(r" *<!-- .*? -->\n", "", picture).replace("Fira Code", "ui-monospace")
    return picture.replace("<text class", '<text xml:space="preserve" class') + "\n"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).with_name("demo.svg")
    target.write_text(drawn(recorded()), encoding="utf-8")
