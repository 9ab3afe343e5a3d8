"""The set-up that docs/cluster.md tells, done as it stands there: TLS with an authority of one's own, and passwords."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest
from team_mail.mail.errors import LogUnavailable
from team_mail.mail.log.event import Draft

from ...console import run_command
from ...postgres import ABSENT, QUICK, is_installed, needs_postgres, running

pytestmark = needs_postgres
DOC = (Path(__file__).parents[3] / "docs" / "cluster.md").read_text()
SECRET = "a pass:word"  # a colon is written with a backslash in a password file


def block(language: str, word: str) -> str:
    """Return the block of the document in a language that has a word in it."""
    blocks = re.findall(rf"```{language}\n(.*?)```", DOC, flags=re.DOTALL)
    (found,) = [text for text in blocks if word in text]
    return found.replace("db.example.org", "localhost").replace("10.0.0.0/8", "127.0.0.1/32")


def certify(folder: Path) -> None:
    """Make authority and certificate; the keys are short ones, which are made sooner."""
    folder.mkdir()
    script = block("sh", "openssl").replace("rsa:3072", "rsa:2048")
    subprocess.run(["sh", "-ec", script], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server as the document sets it up; its url, and the folder of the certificates."""
    if not is_installed():
        pytest.skip(ABSENT)
    from team_mail.mail.remote.connection import Server
    from team_mail.mail.remote.place import Address
    from team_mail.mail.remote.schema import upgrade

    certificates = tmp_path_factory.mktemp("tls") / "made"
    certify(certificates)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with running(QUICK) as local:
        owner = Server(Address(local.url, "team_mail"))
        upgrade(owner)
        for role in ("leader",):
            made = f"CREATE ROLE host_{role} LOGIN PASSWORD '{SECRET}' IN ROLE team_mail_{role}"
            owner.run(lambda c, made=made: c.execute(made.encode()))
        owner.close()
        local.stop()
        at = local.data.stat()
        for name in ("server.key", "server.crt"):
            placed = local.data / name
            placed.write_bytes((certificates / name).read_bytes())
            os.chown(placed, at.st_uid, at.st_gid)
            placed.chmod(0o600)
        with (local.data / "postgresql.conf").open("a") as file:
            file.write(block("conf", "ssl_cert_file"))
        (local.data / "pg_hba.conf").write_text(block("conf", "hostssl").replace("peer", "trust"))
        local.settings = {**QUICK, "listen_addresses": "127.0.0.1", "port": str(port)}
        local.start()
        yield f"postgresql://host_leader@localhost:{port}/team", certificates


@pytest.fixture
def password(tmp_path, monkeypatch):
    """A password file at a place that PGPASSFILE names."""
    path = tmp_path / "passwords"
    path.write_text("localhost:*:team:*:" + SECRET.replace(":", r"\:") + "\n127.0.0.1:*:team:*:mistaken\n")
    path.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(path))
    monkeypatch.delenv("PGPASSWORD", raising=False)
    return path


def connected(url: str, words: str):
    from team_mail.mail.remote.connection import Server
    from team_mail.mail.remote.place import Address

    return Server(Address(f"{url}?{words}", "team_mail"))


def refusal(url: str, words: str) -> str:
    """Return why a connection is refused; at once, for no waiting would mend it."""
    server, start = connected(url, words), time.monotonic()
    with pytest.raises(LogUnavailable) as caught:
        server.head()
    assert time.monotonic() - start < server._first
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_a_host_with_its_password_reads_and_appends_over_tls(served, password, tmp_path):
    """The server says itself that the connection is encrypted, by TLS 1.2 or later."""
    from team_mail.mail.remote.postgres import PostgresLog
    from team_mail.mail.remote.schema import state_of

    url, certificates = served
    server = connected(url, f"sslmode=verify-full&sslrootcert={certificates}/ca.crt")
    log = PostgresLog(tmp_path / "mail", server)
    log.append([Draft("mail.sent", "ada", ("bob",), "encrypted")])
    assert [event.subject for event in log.read()][-1] == "encrypted"
    assert state_of(server).encrypted
    version = server.run(
        lambda c: c.execute(b"SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
    )
    assert version in {("TLSv1.2",), ("TLSv1.3",)}
    server.close()


def test_the_commands_find_the_password_in_the_home_of_their_user(served, password, tmp_path):
    """As libpq looks for it: ~/.pgpass."""
    url, certificates = served
    home, team = tmp_path / "home", tmp_path / "team"
    home.mkdir()
    (team / ".team").mkdir(parents=True)
    password.rename(home / ".pgpass")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "TEAM_"))}
    verified = f"{url}?sslmode=verify-full&sslrootcert={certificates}/ca.crt"
    environ |= {"TEAM_LOG_URL": verified, "TEAM_LOG_NAME": "team_mail"}
    words = ("send", "--to", "you", "--from", "you", "-s", "by file", "-b", "x")
    sent = run_command("team-mail", *words, cwd=team, env=environ | {"HOME": str(home)}, timeout=60)
    assert (sent.returncode, sent.stdout[:5]) == (0, b"sent "), sent.stderr
    refused = run_command("team-mail", *words, cwd=team, env=environ | {"HOME": str(tmp_path)}, timeout=60)
    assert refused.returncode == 1
    assert b"no password supplied" in refused.stderr


def test_a_connection_without_tls_is_refused(served, password):
    """By the server, which has no line for it."""
    url, _ = served
    assert "no encryption" in refusal(url, "sslmode=disable")


def test_a_server_of_another_authority_is_refused(served, password, tmp_path):
    """Whoever answers in the server's place has no certificate of the team's authority."""
    url, _ = served
    certify(tmp_path / "other")
    assert "certificate verify failed" in refusal(url, f"sslmode=verify-full&sslrootcert={tmp_path}/other/ca.crt")


def test_a_server_of_another_name_is_refused(served, password):
    """The certificate is for another name than the one that was asked for."""
    url, certificates = served
    numeric = url.replace("localhost", "127.0.0.1")
    said = refusal(numeric, f"sslmode=verify-full&sslrootcert={certificates}/ca.crt")
    assert 'does not match host name "127.0.0.1"' in said


def test_a_wrong_password_is_refused_and_not_shown(served, password):
    """The same server by another name, for which the file has another password."""
    url, certificates = served
    numeric = url.replace("localhost", "127.0.0.1")
    said = refusal(numeric, f"sslmode=verify-ca&sslrootcert={certificates}/ca.crt")
    assert "password authentication failed" in said
    assert "mistaken" not in said
