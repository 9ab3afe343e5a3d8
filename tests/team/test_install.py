"""Texts for systemd, cron and GitHub: read by those programs, or by parsers of their formats."""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from team_mail.mail.errors import UsageError
from team_mail.mail.text.units import crontab
from team_mail.scheduler.settings.settings import Settings
from team_mail.team.install import InstallTarget, crontab_line, github_workflow, nearest_cron, systemd_unit, texts

ODD = "100% odd \"names\" 'here' $HOME ;#"


@pytest.fixture
def place(tmp_path):
    """A checkout in a folder with every character that somebody treats as special, and a command that is there."""
    top = tmp_path / ODD
    top.mkdir()
    command = top / "bin dir" / "scheduler"
    command.parent.mkdir()
    command.write_text('#!/bin/sh\nprintf "%s|" "$PWD" "$PATH" "$@" > "$(dirname "$0")/called"\n')
    command.chmod(0o755)
    return InstallTarget(top, str(command), f"{top}/bin:/usr/bin:/bin")


def settings(**tables: object) -> Settings:
    return Settings.model_validate(tables)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_accepts_the_unit(place, tmp_path):
    """`systemd-analyze verify` finds the folder and the command within the quotes."""
    unit = tmp_path / "team.service"

    def complaints(text: str) -> list[str]:
        unit.write_text(text)
        ended = subprocess.run(
            ["systemd-analyze", "--user", "--man=no", "--recursive-errors=no", "verify", str(unit)],
            capture_output=True, text=True, check=False, env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)},
        )  # fmt: skip
        return [line for line in ended.stderr.splitlines() if "team.service" in line]

    assert complaints(systemd_unit(place)) == []
    assert complaints(systemd_unit(place).replace("KillMode=process", "KillMode=proces"))


def test_the_words_of_the_unit_are_quoted_for_systemd(place):
    """Unquoted as systemd does it, folder, command and PATH are the original ones."""
    reader = configparser.RawConfigParser()
    reader.optionxform = str
    reader.read_string(systemd_unit(place))
    service = {name: value.replace("%%", "%") for name, value in reader["Service"].items()}

    assert service["WorkingDirectory"] == str(place.top)
    assert shlex.split(service["ExecStart"]) == [":/usr/bin/env", place.command, "run"]
    assert shlex.split(service["Environment"]) == [f"PATH={place.path}"]


def test_the_unit_says_how_to_install_it(place):
    """It has folder, command and PATH, below the lines that install it."""
    unit = systemd_unit(place._replace(top=Path("/srv/my shop")))

    assert "WorkingDirectory=/srv/my shop\n" in unit
    assert "systemctl --user enable --now team-mail-my-shop\n" in unit
    assert " run\n" in unit.partition("ExecStart=:/usr/bin/env ")[2]


def test_the_crontab_line_runs_a_tick(place, tmp_path):
    """Read as cron does it, the command runs in the folder, with the PATH."""
    line = crontab_line(place).splitlines()[-1]
    times, command = " ".join(line.split(" ", 5)[:5]), line.split(" ", 5)[5]

    assert crontab(times) == times
    assert "%" not in command.replace(r"\%", "")
    subprocess.run(["/bin/sh", "-c", command.replace(r"\%", "%")], cwd=tmp_path, check=True)
    called = Path(place.command).with_name("called").read_text()
    assert called == f"{place.top}|{place.path}|tick|--quiet|"


@pytest.mark.parametrize("name", ["two\nlines", "bell\x07", "end\\", " lead"])
def test_names_that_cannot_be_quoted_are_refused(place, name):
    """The folder is named, and nothing is printed for it."""
    for write in (systemd_unit, crontab_line):
        with pytest.raises(UsageError, match="plainer name"):
            write(place._replace(command=name))


def test_a_line_that_is_too_long_for_cron_is_refused(place):
    """Cron reads no more than 998 characters, and does not report the rest."""
    with pytest.raises(UsageError, match="cron takes 998; shorten PATH"):
        crontab_line(place._replace(path="/a/long/folder:" * 80))


def test_the_workflow_is_yaml_and_its_scripts_are_bash():
    """Every value arrives as it was meant, and every script parses."""
    chosen = settings(
        team={"base": "release/${{x}}"},
        agents={"me": {"command": ("me",), "env": ("B_KEY", "A_KEY")}, "you": {"command": ("you",), "env": ("A_KEY",)}},
        sprint={"cron": "0 9 * * mon-fri", "deadline": "2h"},
    )
    flow = yaml.load(github_workflow(chosen), yaml.BaseLoader)

    job = flow["jobs"]["sprint"]
    assert flow["on"]["schedule"] == [{"cron": "0 9 * * mon-fri"}]
    assert flow["concurrency"]["cancel-in-progress"] == "false"
    assert job["timeout-minutes"] == "150"
    assert job["steps"][0]["with"] == {"ref": "release/${{ '${{' }}x}}", "fetch-depth": "0"}
    sprint = next(step for step in job["steps"] if step.get("name") == "Sprint")
    assert sprint["env"] == {name: f"${{{{ secrets.{name} }}}}" for name in ("A_KEY", "B_KEY")}
    for step in job["steps"]:
        if "run" in step:
            subprocess.run(["bash", "-n"], input=step["run"], text=True, check=True)


def test_the_workflow_keeps_the_mail(tmp_path):
    """Its own scripts, run here: mail saved by one job is there in the next, and the branch grows by a commit."""
    flow = yaml.safe_load(github_workflow(settings()))
    scripts = {step["name"]: step for step in flow["jobs"]["sprint"]["steps"] if "name" in step}
    origin, steps = tmp_path / "origin", ("Bring back the mail and the branches of earlier sprints", "Keep the mail")
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(origin)], check=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "team-mail").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "team-mail").chmod(0o755)
    environ = {
        "HOME": str(tmp_path), "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "RUNNER_TEMP": str(tmp_path),
        "GITHUB_RUN_NUMBER": "7", **scripts["Keep the mail"]["env"],
    }  # fmt: skip

    def job(number: int) -> Path:
        work = tmp_path / f"job{number}"
        subprocess.run(["git", "clone", "-q", str(origin), str(work)], check=True, capture_output=True)
        if number == 1:
            words = ["git", "commit", "-q", "--allow-empty", "-m", "Begin"]
            subprocess.run(words, cwd=work, env=environ, check=True)
            subprocess.run(["git", "push", "-q", "origin", "HEAD:main"], cwd=work, env=environ, check=True)
        run(steps[0], work)
        mail = work / ".team" / "mail"
        mail.mkdir(parents=True, exist_ok=True)
        with (mail / "events.jsonl").open("a") as file:
            file.write(f"{number}\n")
        run(steps[1], work)
        return mail / "events.jsonl"

    def run(name: str, work: Path) -> None:
        script, environment = scripts[name]["run"], environ | {"BASE": "main"}
        subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script], cwd=work, env=environment, check=True, capture_output=True
        )

    assert [job(number).read_text() for number in (1, 2)] == ["1\n", "1\n2\n"]
    count = subprocess.run(["git", "rev-list", "--count", "team/mail"], cwd=origin, check=True, capture_output=True)
    assert count.stdout == b"2\n"


def test_weekday_7_becomes_0_in_the_workflow():
    """GitHub knows Sunday only as 0; other 7s are unchanged."""
    for cron, rhythm in (("7 7 7 7 7", "7 7 7 7 0"), ("7 7 * * 1,7", "7 7 * * 1,0"), ("7 7 * * 7,1", "7 7 * * 0,1")):
        assert f'cron: "{rhythm}"' in github_workflow(settings(sprint={"cron": cron}))


@pytest.mark.parametrize(
    ("every", "cron"),
    [(1, "*/5 * * * *"), (900, "*/15 * * * *"), (2700, "*/30 * * * *"), (3600, "0 */1 * * *"),
     (7 * 3600, "0 */6 * * *"), (86_400, "0 6 * * *"), (1_000_000, "0 6 * * *")],
)  # fmt: skip
def test_an_interval_becomes_the_next_shorter_one_that_cron_can_express(every, cron):
    """It is never shorter than GitHub allows."""
    assert nearest_cron(every) == crontab(cron)


def test_one_form_or_all_can_be_requested(tmp_path):
    """An unknown form is refused with the known ones."""
    whole = [*texts(tmp_path, settings())]

    for form in ("systemd", "crontab", "github"):
        lines = [*texts(tmp_path, settings(), form)]
        assert lines == whole[whole.index(lines[0]) :][: len(lines)]
    with pytest.raises(UsageError, match="no form 'launchd'; there are systemd, crontab, github and all"):
        texts(tmp_path, settings(), "launchd")
