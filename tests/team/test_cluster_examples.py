"""The files of examples/cluster are well-formed, and what they run, mount and ask for exists."""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from ..console import run_command
from ..postgres import needs_postgres

FOLDER = Path(__file__).parents[2] / "examples" / "cluster"
UNITS = sorted(FOLDER.glob("*.service"))
BIN = Path(sys.executable).parent


def check_command(words: list[str], folder: Path) -> None:
    """Check that a command of ours exists and knows its options."""
    command, *rest = words
    verbs = [word for word in rest[:1] if not word.startswith("-")]
    shown = run_command(Path(command).name, *verbs, "--help", cwd=folder, env=dict(os.environ))
    assert shown.returncode == 0, shown.stderr
    for word in rest:
        assert not word.startswith("-") or word.encode() in shown.stdout, word


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_well_formed_and_its_command_exists(unit, tmp_path):
    """Systemd has nothing to say about it, where there is one."""
    parsed = configparser.ConfigParser(interpolation=None, delimiters=["="])
    parsed.optionxform = str  # type: ignore[assignment]
    parsed.read_string(unit.read_text())
    assert parsed.sections() == ["Unit", "Service", "Install"]
    words = shlex.split(parsed["Service"]["ExecStart"])
    check_command(words, tmp_path)
    if analyze := shutil.which("systemd-analyze"):
        here = unit.read_text().replace(words[0], str(BIN / Path(words[0]).name))
        (tmp_path / unit.name).write_text(here)
        done = subprocess.run(
            [analyze, "verify", "--man=no", str(tmp_path / unit.name)], capture_output=True, text=True, check=False
        )
        assert [line for line in (done.stdout + done.stderr).splitlines() if unit.name in line] == []


def test_the_compose_file_is_whole(tmp_path):
    """Each secret and volume that a service names is declared, each command exists, and each url is one of ours."""
    from team_mail.mail.remote.place import Address

    made = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    assert {*made["services"]} == {"db", "worker-b", "worker-c"}
    named = set()
    for name, service in made["services"].items():
        named |= {*service["secrets"]}
        for text in (*map(str, service["environment"].values()), str(service["command"])):
            for word in text.split():
                if "/run/secrets/" in word:
                    assert word.rpartition("/run/secrets/")[2] in service["secrets"], word
        volumes = [volume.split(":")[0] for volume in service["volumes"]]
        assert all(volume.startswith("./") or volume in made["volumes"] for volume in volumes)
        if name != "db":
            check_command(service["command"], tmp_path)
            url = Address.of(service["environment"]["TEAM_LOG_URL"], "team_mail").url
            assert urlsplit(url).hostname in made["services"]["db"]["networks"]["default"]["aliases"]
            assert service["depends_on"]["db"]["condition"] == "service_healthy"
    assert named == {*made["secrets"]}


@needs_postgres
def test_the_logins_of_the_example_are_made(postgres, schemas):
    """They have the roles that `team cluster init` makes for a schema of that name."""
    server = schemas()
    text = (FOLDER / "init.sql").read_text().replace("team_mail", server.address.schema)
    server.run(lambda connection: connection.execute(text.encode()))
    asked, role = b"SELECT pg_has_role('host_b', %s, 'MEMBER')", f"{server.address.schema}_worker"
    held = server.run(lambda c: c.execute(asked, [role]))
    assert held.fetchone() == (True,)
    server.run(lambda connection: connection.execute(b"DROP ROLE host_a, host_b, host_c"))
