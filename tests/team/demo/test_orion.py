"""Orion's demo: rounds that are reported on, decided and deployed by the commands that users run, and their figures."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
from team_mail.mail.errors import UsageError
from team_mail.mail.open import open_log
from team_mail.personas.roster import read_roster
from team_mail.scheduler.settings.reading import read_settings
from team_mail.team.demo import crew
from team_mail.team.demo.crew import SCRIPTS, Work, looked_at
from team_mail.team.demo.orion import orion
from team_mail.team.demo.rounds import ROUNDS, Measured, above, daily, table
from team_mail.team.demo.supervised import make_crew, make_shop

from ...console import as_text, run_command
from ...samples import STORM

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("TEAM_", "GIT_"))}
MAIL = [sys.executable, "-P", "-c", "from team_mail.mail.commands.entry import main; main()"]


@pytest.fixture
def shop(tmp_path):
    """The repository of the shop."""
    make_shop(tmp_path / "shop")
    return tmp_path / "shop"


def page(folder, to):
    """Draw the page of a tree."""
    subprocess.run([sys.executable, "-B", "-m", "shop.draw", to], cwd=folder, check=True)
    return to.read_bytes()


def team(*words):
    return as_text(run_command("team", *words, cwd=Path.cwd(), env=CLEAN, timeout=600))


def attached(folder):
    """The picture of the last review mail to pixel, and the commit that the mail is about."""
    mails = [event for event in open_log(folder / ".team").read() if event.kind == "mail.sent"]
    mail = [event for event in mails if event.data["type"] == "review" and event.recipients == ("pixel",)][-1]
    words = [*MAIL, "attachment", str(mail.seq), "page.png", "--persona", "pixel"]
    picture = subprocess.run(words, cwd=folder, env=CLEAN, check=True, capture_output=True).stdout
    return picture, mail.data["payload"]["to"]


@STORM
def test_four_rounds_are_decided_deployed_and_measured(tmp_path):
    """In a real process: the table has all rows, the transcript all channels, and pixel has seen what landed."""
    ended = team("demo", "--team", "orion", str(tmp_path / "demo"), "--speed", "100")

    assert ended.returncode == 0, ended.stderr
    rows = {row.title: re.search(rf"(?m)^ +{re.escape(row.title)} .*$", ended.stdout) for row in ROUNDS}
    figures = [re.findall(r"(?:(?<= )-|[\d.]+ s)(?= )", row[0])[:5] for row in rows.values() if row]
    assert [row[:3] for row in figures] == [
        ["38 s", "38 s", "0.38 s"], ["15 s", "15 s", "0.15 s"], ["-", "21 s", "0.21 s"], ["-", "39 s", "0.39 s"],
    ]  # fmt: skip
    for _, _, expected, measured, on_top in figures:
        seconds = [float(figure.removesuffix(" s")) for figure in (expected, measured, on_top)]
        assert seconds[0] + seconds[2] == pytest.approx(seconds[1], abs=0.011)
    transcript = ended.stdout.partition("What was said")[2]
    assert {*re.findall(r"s  #(\w+) ", transcript)} == {"code", "review", "ux", "qa"}
    words = [
        "(veto): BLOCKED - Security issue: cipher vetoes: SQL is put together from input",
        "search binds its input now", "no veto: every query is constant", "APPROVED - Deploy, by orion", "live: ",
        "deploy: deployed",
    ]  # fmt: skip
    assert sorted(words, key=transcript.index) == words
    assert ended.stdout.partition("What it took")[0].count("deploy: deployed") == 4

    folder = tmp_path / "demo" / "this"
    picture, commit = attached(folder)
    archived = subprocess.run(["git", "archive", commit], cwd=folder, env=CLEAN, check=True, capture_output=True)
    with tarfile.open(fileobj=io.BytesIO(archived.stdout)) as archive:
        archive.extractall(tmp_path / "tree", filter="data")
    assert picture == page(tmp_path / "tree", tmp_path / "tree.png")
    assert picture != page(folder, tmp_path / "base.png")
    assert looked_at(picture).height > looked_at((tmp_path / "base.png").read_bytes()).height
    live = tmp_path / "demo" / "this-live"
    assert (live / "COMMIT").read_text().strip() == commit
    assert (live / "page.png").read_bytes() == picture


def test_the_work_of_a_round_is_computed_from_that_of_its_personas():
    """38 and 15 s are the seed's; a round with its own reports takes 21 s, and with a veto 39 s."""
    assert [row.computed for row in ROUNDS] == [38, 15, 21, 39]


def test_a_miss_is_named_and_not_rounded_away():
    """A millisecond too much is shown as a hundredth more, with the row that it is of."""
    measured = [Measured(row, row.computed / 10 + 0.6, 10) for row in ROUNDS]
    measured[2] = replace(measured[2], seconds=2.1 + 0.601)

    lines = [*table(measured)]
    assert [text for text in lines if "missed" in text] == [
        "missed: at once, reports on this round, 0.61 s on top of the work, and 0.6 s is the most"
    ]
    assert "2.71 s    0.61 s" in lines[3]
    assert "no round took more" in [*table([measured[0]])][-1]


def test_at_the_speed_of_the_seed_nothing_is_scaled():
    """Then what is computed and what is expected are the same, and stand there once."""
    head, row, *_ = table([Measured(ROUNDS[0], 38.5, 1)])
    assert head.split() == ["seed", "computed", "measured", "on", "top"]
    assert re.findall(r"[\d.]+ s", row) == ["38 s", "38 s", "38.50 s", "0.50 s"]


def test_rounds_a_day_are_counted_at_full_length():
    """From the work and from what a round took on top, not from the seed's words."""
    lines = [*daily([Measured(row, row.computed / 10 + 0.5, 10) for row in ROUNDS])]
    assert [text.split()[-2:] for text in lines[1:4]] == [["95", "2244"], ["5760", "5574"], ["-", "4018"]]
    assert "2273 rounds a day, not 95" in lines[-2]
    assert lines[-1].startswith("2.48 times")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.6, "0.60 s"), (0.6000009, "0.61 s"), (1.23456, "1.24 s"), (-0.1, "-0.10 s")]
)
def test_seconds_are_never_less_than_they_are(seconds, text):
    """They are rounded up to a hundredth."""
    assert above(seconds) == text


def test_the_team_is_valid(shop):
    """Settings and personas are read without a word; orion is played by nobody, cipher and flux work when asked."""
    make_crew(shop, "parallel", "last round", 10, careless=True)
    home = shop / ".team"

    settings, roster = read_settings(home, {}).settings, read_roster(home / "personas")
    assert roster.problems == ()
    assert [persona.id for persona in roster.personas if not persona.scheduled] == ["orion"]
    assert {persona.id for persona in roster.personas if persona.by_mail} == {"cipher", "flux"}
    assert (settings.supervisor.name, settings.supervisor.review) == ("orion", "last round")
    assert {*settings.channel_members} == {"code", "review", "ux", "qa"}
    assert [gate.says for gate in settings.gates.values()] == [
        "BLOCKED - Security issue", "BLOCKED - UI too poor", "BLOCKED - Tests failing",
    ]  # fmt: skip


def test_cipher_vetoes_what_nova_puts_together_until_it_is_mended(shop):
    """The report names file and line; a query that binds its input passes."""
    careless = Work(shop, careless=True)
    assert SCRIPTS["cipher"](careless).report["veto"] is False
    SCRIPTS["nova"](careless)
    report = SCRIPTS["cipher"](careless).report
    assert (report["veto"], report["veto_reason"]) == (
        True, "SQL is put together from input (shop/catalogue.py:23)",
    )  # fmt: skip

    assert SCRIPTS["nova"](careless).subject == "search binds its input now"
    assert SCRIPTS["cipher"](careless).report["veto"] is False
    code = """from shop.catalogue import *; print(search(opened(), "' OR 1=1 --"), search(opened(), "ch"))"""
    found = subprocess.run([sys.executable, "-c", code], cwd=shop, check=True, capture_output=True, text=True).stdout
    assert found.strip() == "[] [('Sencha', 550)]"


def test_pixel_sees_a_poor_page(shop, monkeypatch):
    """Pale ink makes a score that does not pass; so would a picture that is damaged, which has none."""
    make_crew(shop, "parallel", "this round", 100)
    (shop / ".team/run").mkdir()
    monkeypatch.chdir(shop)
    monkeypatch.setenv("TEAM_PERSONA", "pixel")
    good = SCRIPTS["pixel"](Work(shop)).report
    Work(shop).edit("shop/page.py", r"\(104, 104, 112\)", "(200, 200, 200)")
    poor = SCRIPTS["pixel"](Work(shop)).report

    assert poor["score"] < 6 < good["score"]
    assert "more contrast" in poor["suggestions"][0]
    picture = (shop / ".team/run/page.png").read_bytes()
    for damaged in (picture[:50] + b"?" + picture[51:], b"GIF" + picture):
        with pytest.raises(SystemExit, match=r"damaged|no PNG"):
            looked_at(damaged)


def test_echo_reports_what_it_has_run(shop):
    """Of three tests one fails; it writes a test where there is none, but only in the first run of a round."""
    first = SCRIPTS["echo"](Work(shop)).report
    assert (first["passed"], first["total"], first["pass_rate"]) == (1, 1, 1.0)
    assert (shop / "tests/test_page.py").exists()
    Work(shop).edit("shop/page.py", r"cents // 100", "cents // 10")

    later = SCRIPTS["echo"](Work(shop, attempt=2)).report
    assert (later["passed"], later["total"], later["pass_rate"]) == (2, 3, pytest.approx(2 / 3))
    assert "test_prices_are_in_euros" in later["issues"][0]
    assert 0 < first["coverage"] < later["coverage"] < 1
    assert not (shop / "tests/test_draw.py").exists()


def test_flux_replaces_what_is_live(shop, tmp_path):
    """By a copy of the commit, without what belongs to git or to the run."""
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "old").write_text("")

    said = SCRIPTS["flux"](Work(shop, live=tmp_path / "live"))
    assert said.subject == f"live: {(tmp_path / 'live' / 'COMMIT').read_text()[:12]}"
    assert sorted(path.name for path in (tmp_path / "live").iterdir()) == [
        ".gitignore", "COMMIT", "README.md", "page.png", "shop", "tests",
    ]  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {"shop", "live"}


def test_the_script_needs_nothing_but_python():
    """It is copied out of the package, so it may import nothing from it, nor any third party."""
    code = "import json, sys, runpy; runpy.run_path(sys.argv[1]); print(json.dumps([*sys.modules]))"
    words = [sys.executable, "-I", "-S", "-c", code, crew.__file__]
    loaded = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)

    assert {name.partition(".")[0] for name in loaded} <= {*sys.stdlib_module_names, "__main__"}


def test_a_run_is_no_shorter_and_hardly_longer_than_its_persona_takes(shop):
    """What is left of its seconds once its work is done is waited; 3 s of flux are 1.5 s at twice the speed."""
    make_crew(shop, "parallel", "this round", 2)
    (shop / ".team/run").mkdir()
    words = [sys.executable, "-I", "-S", crew.__file__, "flux", "1", "2", str(shop.parent / "live")]
    began = time.monotonic()
    subprocess.run(words, cwd=shop, env=CLEAN | {"TEAM_PERSONA": "flux"}, input=b"", check=True, capture_output=True)

    assert 1.48 < time.monotonic() - began < 4
    assert (shop.parent / "live/page.png").exists()


@pytest.mark.parametrize("speed", [float("nan"), 0, -1, 1e9])
def test_a_speed_that_is_none_is_refused(tmp_path, speed):
    """Before anything is written."""
    with pytest.raises(UsageError, match=r"--speed is from 0\.1 to 1000"):
        orion(tmp_path / "demo", io.StringIO(), speed=speed)
    assert [*Path(tmp_path).iterdir()] == []


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--speed", "5"], "--speed is for --team orion"),
        (["--team", "orion", "--quick"], "--quick is for the demo without --team"),
        (["--team", "oroin"], "orion"),
    ],
)
def test_options_of_another_team_are_refused(words, why):
    """With the option to use instead, and exit code 2."""
    ended = team("demo", *words)
    assert ended.returncode == 2
    assert why in ended.stderr
