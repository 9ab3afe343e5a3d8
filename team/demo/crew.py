"""The agent of orion's team: it plays nova, cipher, pixel, echo and flux without a model.

It is called as `crew.py PERSONA ATTEMPT SPEED LIVE [careless] [asked]` in a workspace of the shop, with the prompt on
standard input like any agent, and uses only Python, git and `team-mail`. What it does is small and real. A run takes
the seconds of its persona divided by SPEED in all; what is left of them once it is done, it waits.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

SECONDS = {  # of the first run of a round, and of each later one
    "nova": (10.0, 10.0), "cipher": (8.0, 8.0), "pixel": (12.0, 5.0), "echo": (5.0, 3.0), "flux": (3.0, 3.0),
}  # fmt: skip
CHANNELS = {"nova": "code", "cipher": "review", "pixel": "ux", "echo": "qa", "flux": "code"}
_MAILING = 0.5  # seconds that are left for the mail at the end of a run
_OLDEST = 5.0  # seconds since the start of a process that has just been started
_ENOUGH = 7.0  # of contrast: level AAA of the guidelines for accessible web pages
_LEAST_MARGIN = 16  # pixels
_PAGE = "page.png"


@dataclass(frozen=True)
class Work:
    """One run: the workspace that it is in, which run of its persona it is, and where the shop is live.

    Who is `careless` first puts a query together from input; who is only `asked` for reports writes nothing.
    """

    top: Path
    attempt: int = 1
    live: Path = Path("live")
    careless: bool = False
    asked: bool = False

    def edit(self, file: str, pattern: str, replacement: str) -> None:
        """Replace the one match in a file."""
        path = self.top / file
        text, count = re.subn(pattern, lambda _: replacement, path.read_text())
        if count != 1:
            sys.exit(f"{file} has {count} of {pattern}")
        path.write_text(text)


class Said(NamedTuple):
    """What a persona says of its work in its channel, and its report."""

    subject: str
    report: dict[str, Any] | None = None


class Feature(NamedTuple):
    """What nova can write: a function of the catalogue, with a field for it on the page."""

    name: str
    field: str
    code: str
    careless: str


def nova(work: Work) -> Said:
    """Write the first feature that is not there, or mend the one whose query is put together from input."""
    catalogue = work.top / "shop/catalogue.py"
    text = catalogue.read_text()
    if careless := next((each for each in FEATURES if each.careless in text), None):
        catalogue.write_text(text.replace(careless.careless, careless.code))
        return Said(f"{careless.name} binds its input now")
    feature = next((each for each in FEATURES if f"def {each.name}(" not in text), None)
    if feature is None:
        return Said("nothing left to write")
    catalogue.write_text(text + (feature.careless if work.careless else feature.code))
    fields = [each.field for each in FEATURES[: FEATURES.index(feature) + 1]]
    work.edit("shop/page.py", r"FIELDS = .*", f"FIELDS = ({', '.join(map(json.dumps, fields))},)")
    return Said(f"{feature.name} is new in shop/catalogue.py, with a field on the page")


def cipher(work: Work) -> Said:
    """Look for queries that are not constants, and veto them."""
    issues = [issue for path in sorted(work.top.glob("shop/*.py")) for issue in _queries(path, work.top)]
    why = f"SQL is put together from input ({issues[0]})" if issues else ""
    report = {"veto": bool(issues), "veto_reason": why, "issues": [f"{issue}: bind the input" for issue in issues]}
    return Said(f"veto: {why}" if issues else "no veto: every query is constant", report)


def _queries(path: Path, top: Path) -> Iterator[str]:
    """Yield the places in a file where a query is executed that is put together."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        if node.func.attr.startswith("execute") and not isinstance(node.args[0], ast.Constant):
            yield f"{path.relative_to(top)}:{node.lineno}"


def pixel(work: Work) -> Said:
    """Score the page: the picture of the review mail, or without one the page as it is now."""
    picture, source = _attached(), "the picture of what landed"
    if picture is None:
        out = work.top / ".team/run" / _PAGE
        _ran(sys.executable, "-B", "-m", "shop.draw", str(out))
        picture, source = out.read_bytes(), "the page as it is"
    look = looked_at(picture)
    wishes = (
        [f"ink of more contrast: {look.contrast:.1f}, and {_ENOUGH:g} is enough"] if look.contrast < _ENOUGH else []
    )
    wishes += [f"a margin of {_LEAST_MARGIN} pixels, not {look.margin}"] if look.margin < _LEAST_MARGIN else []
    size = f"{look.width} x {look.height}"
    report = {"score": look.score, "picture": f"PNG, {size}, {len(picture)} bytes", "suggestions": wishes}
    return Said(f"score {look.score:g} for {source}, {size}" + "".join(f"; {wish}" for wish in wishes), report)


class Look(NamedTuple):
    """What pixel sees in a picture: its size, the contrast of its two colours, and the free margin around the ink."""

    width: int
    height: int
    contrast: float
    margin: int

    @property
    def score(self) -> float:
        """Return a score from 0 to 10, a rule of thumb: seven tenths for the contrast, three for the margin."""
        margin = min(self.margin / _LEAST_MARGIN, 1.0)
        return round(7 * min(self.contrast / _ENOUGH, 1.0) + 3 * margin, 1)


def looked_at(picture: bytes) -> Look:
    """Look at a PNG of two colours, as the shop draws it. Exits if it is none: a damaged one has no score."""
    chunks = _chunks(picture)
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    colours, pixels = chunks[b"PLTE"], zlib.decompress(chunks[b"IDAT"])
    rows = [pixels[start + 1 : start + 1 + width] for start in range(0, len(pixels), width + 1)]
    if chunks[b"IHDR"][8:10] != b"\x08\x03" or len(rows) != height or any(len(row) != width for row in rows):
        sys.exit("the picture is not one of two colours")
    inked = [number for number, row in enumerate(rows) if any(row)]
    columns = [place for place in range(width) if any(row[place] for row in rows)]
    if not inked:
        return Look(width, height, 1.0, 0)
    margin = min(inked[0], height - 1 - inked[-1], columns[0], width - 1 - columns[-1])
    light, dark = sorted((_luminance(colours[:3]), _luminance(colours[3:6])), reverse=True)
    return Look(width, height, (light + 0.05) / (dark + 0.05), margin)


def _chunks(picture: bytes) -> dict[bytes, bytes]:
    """Return the parts of a PNG by their names; exits if a checksum or the beginning is wrong."""
    if not picture.startswith(b"\x89PNG\r\n\x1a\n"):
        sys.exit("the picture is no PNG")
    chunks, place = dict[bytes, bytes](), 8
    while place < len(picture):
        length = int.from_bytes(picture[place : place + 4], "big")
        kind, data = picture[place + 4 : place + 8], picture[place + 8 : place + 8 + length]
        if zlib.crc32(kind + data).to_bytes(4, "big") != picture[place + 8 + length : place + 12 + length]:
            sys.exit(f"the part {kind.decode(errors='replace')} of the picture is damaged")
        chunks[kind] = data
        place += 12 + length
    return chunks


def _luminance(colour: bytes) -> float:
    """Return the relative luminance of a colour, as the guidelines for accessible web pages define it."""
    parts = [part / 255 for part in colour]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)  # noqa: PLR2004
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def echo(work: Work) -> Said:
    """Run all tests, and count which lines they reach; in the first run, write one for what has none."""
    writes = work.attempt == 1 and not work.asked
    new = next((name for name in TESTS if not (work.top / "tests" / name).exists()), "") if writes else ""
    tests = tested(work.top)
    report = {
        "pass_rate": tests.passed / tests.total if tests.total else None, "passed": tests.passed, "total": tests.total,
        "coverage": round(tests.coverage, 3), "issues": tests.failed,
    }  # fmt: skip
    if new:
        (work.top / "tests" / new).write_text(TESTS[new])
    wrote = f"; tests/{new} is new" if new else ""
    return Said(f"{tests.passed} of {tests.total} pass, {tests.coverage:.0%} of the lines reached{wrote}", report)


@dataclass(frozen=True)
class Tests:
    """What a run of the tests gave; `coverage` is the share of the lines of the shop that it reached."""

    passed: int
    total: int
    coverage: float
    failed: list[str] = field(default_factory=list[str])


def tested(top: Path) -> Tests:
    """Run the project's tests in a process of its own, and count the lines with the standard library's `trace`."""
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-B", "-c", _COUNTED], cwd=top, capture_output=True, check=False, text=True
    )
    if ended.returncode:
        sys.exit(f"the tests cannot be run: {ended.stderr.strip()}")
    return Tests(**json.loads(ended.stdout.splitlines()[-1]))


def flux(work: Work) -> Said:
    """Put the shop live: a copy of the commit takes the place of the one that was there, and draws its page."""
    commit = _ran("git", "rev-parse", "HEAD").strip()
    new, old = work.live.with_name("live.new"), work.live.with_name("live.old")
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(work.top, new, ignore=shutil.ignore_patterns(".git", ".team"))
    _ran(sys.executable, "-B", "-m", "shop.draw", _PAGE, cwd=new)
    (new / "COMMIT").write_text(f"{commit}\n")
    if work.live.exists():
        work.live.rename(old)
    new.rename(work.live)
    shutil.rmtree(old, ignore_errors=True)
    return Said(f"live: {commit[:12]}")


SCRIPTS: dict[str, Callable[[Work], Said]] = {script.__name__: script for script in (nova, cipher, pixel, echo, flux)}
FEATURES = (
    Feature(
        "search",
        "Search",
        '''

def search(database, text):
    """Return the teas whose names contain a text."""
    return database.execute("SELECT name, cents FROM teas WHERE name LIKE ? ORDER BY name", (f"%{text}%",)).fetchall()
''',
        '''

def search(database, text):
    """Return the teas whose names contain a text."""
    return database.execute(f"SELECT name, cents FROM teas WHERE name LIKE '%{text}%' ORDER BY name").fetchall()
''',
    ),
    Feature(
        "cheaper",
        "Up to",
        '''

def cheaper(database, cents):
    """Return the teas that cost no more than an amount in cents, the cheapest first."""
    return database.execute("SELECT name, cents FROM teas WHERE cents <= ? ORDER BY cents", (cents,)).fetchall()
''',
        '''

def cheaper(database, cents):
    """Return the teas that cost no more than an amount in cents, the cheapest first."""
    return database.execute(f"SELECT name, cents FROM teas WHERE cents <= {cents} ORDER BY cents").fetchall()
''',
    ),
)
TESTS = {
    "test_page.py": """\
import unittest

from shop.page import line, lines


class Page(unittest.TestCase):
    def test_prices_are_in_euros(self):
        self.assertEqual(line(("Assam", 405)).split(), ["Assam", "4.05"])

    def test_every_tea_has_a_line(self):
        self.assertEqual(lines([("Assam", 450), ("Sencha", 550)])[-1], line(("Sencha", 550)))
""",
    "test_draw.py": """\
import unittest

from shop.draw import drawn, png


class Draw(unittest.TestCase):
    def test_a_page_is_drawn_to_a_png(self):
        self.assertTrue(png(drawn(["Tea"])).startswith(b"\\x89PNG"))
""",
}
_COUNTED = """
import json, pathlib, sys, trace, unittest
sys.path.insert(0, ".")
tracer = trace.Trace(count=True, trace=False, ignoredirs=[sys.prefix, sys.base_prefix])
suite = []
def run():
    tests = unittest.defaultTestLoader.discover("tests", top_level_dir=".")
    suite.append(unittest.TextTestRunner(stream=sys.stderr, verbosity=0).run(tests))
tracer.runfunc(run)
counts = {(str(pathlib.Path(file).resolve()), line) for file, line in tracer.results().counts}
def lines(code):
    yield from (line for *_, line in code.co_lines() if line)
    for part in code.co_consts:
        if hasattr(part, "co_lines"):
            yield from lines(part)
files = [path.resolve() for path in pathlib.Path("shop").glob("*.py")]
known = {(str(path), line) for path in files for line in lines(compile(path.read_text(), str(path), "exec"))}
(result,) = suite
bad = [str(test) for test, _ in (*result.failures, *result.errors)]
total, coverage = result.testsRun, len(known & counts) / max(len(known), 1)
print(json.dumps({"passed": total - len(bad), "total": total, "failed": bad, "coverage": coverage}))
"""


def _attached() -> bytes | None:
    """Return the picture that came with the newest review mail; None without such mail."""
    mails = json.loads(_mail("inbox", "--unread", "--type", "review", "--json"))
    if not mails:
        return None
    return _mail("attachment", str(max(mail["seq"] for mail in mails)), _PAGE)


def _mail(*words: str) -> bytes:
    """Run `team-mail`, which takes the persona from the environment."""
    places = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])  # noqa: PTH120
    return _output(shutil.which("team-mail", path=places) or "team-mail", *words)


def _ran(*words: str, cwd: Path | None = None) -> str:
    return _output(*words, cwd=cwd).decode()


def _output(*words: str, cwd: Path | None = None) -> bytes:
    """Return what a command prints; exits with its last words if it fails."""
    ended = subprocess.run(words, cwd=cwd, capture_output=True, check=False, stdin=subprocess.DEVNULL)  # noqa: S603
    if ended.returncode:
        sys.exit(f"{' '.join(words)}: {ended.stderr.decode(errors='replace').strip()}")
    return ended.stdout


def main(words: list[str]) -> None:
    """Play one run."""
    began = time.monotonic() - _age()
    persona, attempt, speed, live, *more = words
    took = SECONDS[persona][int(attempt) > 1] / float(speed)
    said = SCRIPTS[persona](Work(Path.cwd(), int(attempt), Path(live), "careless" in more, "asked" in more))
    if said.report is not None:
        Path(os.environ["TEAM_OUTPUT"]).write_text(json.dumps(said.report))
    _wait_until(began + took - _MAILING)
    channel = CHANNELS[persona]
    _mail("send", "--to", f"@{channel}", "--type", "result", "--subject", said.subject, "--body", said.subject)
    _wait_until(began + took)
    print(f"{persona}: {said.subject}")


def _age() -> float:
    """Return how many seconds ago this process was started, to a hundredth: loading Python is part of a run's time."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return age if 0 <= age < _OLDEST else 0.0  # another clock than that of the kernel's list


def _wait_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


if __name__ == "__main__":
    main(sys.argv[1:])
