"""`[console]`: names of hosts as browsers send them, and nothing that only looks like one."""

from __future__ import annotations

import pytest
from team_mail.scheduler.errors import SettingsError
from team_mail.scheduler.settings.reading import read_settings


def read(folder, text):
    """Read the table from team.toml."""
    home = folder / ".team"
    home.mkdir()
    (home / "team.toml").write_text(f"[console]\n{text}\n")
    return read_settings(home, {}).settings.console


def test_names_and_addresses_with_and_without_a_port_are_taken(tmp_path):
    """In small letters, as they are compared."""
    told = read(tmp_path, 'hosts = ["Team.Example.org", "nas:8443", "192.0.2.1:80", "[2001:db8::1]", "[::1]:9"]')
    assert told.hosts == ("team.example.org", "nas:8443", "192.0.2.1:80", "[2001:db8::1]", "[::1]:9")
    assert told.max_runs == 16


@pytest.mark.parametrize(
    "host",
    [
        "https://team.example.org", "team.example.org/", "*.example.org", "*", "", "a b", "user@host", "host:0",
        "host:65536", "host:x", "::1", "[::1", "-a.org", "a..b", "a" * 64, "a,b",
    ],
)  # fmt: skip
def test_what_no_browser_sends_is_refused_with_its_line(tmp_path, host):
    """A wildcard above all: the list is exact."""
    with pytest.raises(SettingsError, match=r"^team\.toml:2: console\.hosts\[0\] must be a host as browsers send it"):
        read(tmp_path, f'hosts = ["{host}"]')


def test_a_secret_file_is_found_from_the_folder_of_the_team(tmp_path):
    """Wherever the command is called."""
    assert read(tmp_path, 'secret_file = "../in.secret"').secret_file == str(tmp_path / "../in.secret")
