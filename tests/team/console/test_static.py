"""The files that pages are made of: what others wrote is as they wrote it, and a page is light."""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path

from team_mail.mail.text import escape
from team_mail.team.console.app import STATIC

PAGE = 40_000  # bytes that a page may weigh on the wire, with all it is made of


def test_the_files_of_others_are_those_that_are_written_down():
    """Each vendored file has the checksum and the licence of its row, and no other of theirs lies there unnamed."""
    table = (STATIC / "VENDORED.md").read_text()
    rows = re.findall(r"^\| (\S+\.js) .* (\S+\.LICENSE) \| ([0-9a-f]{64}) \|$", table, re.MULTILINE)

    for name, licence, digest in rows:
        assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == digest
        assert (STATIC / licence).read_text().strip()
    assert rows
    assert {path.name for path in STATIC.glob("*.min.js")} == {name for name, _, _ in rows}


def test_all_scripts_and_styles_together_are_lighter_than_a_page_may_be():
    """Even a page that loads every file stays below what a page may weigh, with 6 kB left for itself."""
    weights = [len(gzip.compress(path.read_bytes(), 6)) for path in STATIC.iterdir() if path.suffix in {".js", ".css"}]

    assert sum(weights) < PAGE - 6_000


def test_no_template_has_a_script_or_a_style_of_its_own():
    """The policy of the console lets none run, so none may be in a template."""
    templates = Path(STATIC.parent, "pages", "templates").glob("*.html")
    found = [
        (path.name, text)
        for path in templates
        for text in re.findall(r"<script(?![^>]*\bsrc=)[^>]*>|\sstyle=|\son[a-z]+=|<style", path.read_text())
    ]

    assert found == []


def test_scripts_escape_what_pages_of_the_server_do():
    """What turns or hides text is the same set in both, so that no stream shows what a page would not."""
    written = re.search(r"UNSAFE = /(\[.*\])/gu;", (STATIC / "escape.js").read_text())
    unsafe = re.compile(re.sub(r"\\u\{(\w+)\}", lambda match: f"\\U{match[1]:>08}", written[1]))
    every = "".join(map(chr, range(0x110000)))

    assert unsafe.findall(every) == [each for each in every if escape.clean(each) != each]
