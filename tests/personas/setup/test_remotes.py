"""The repository of a host gets commits from remotes of every kind, whoever is killed, and says why it cannot."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil
import pytest
from team_mail.personas.errors import NotPrepared
from team_mail.personas.setup.remotes import KEPT, HostRepository, without_secrets
from team_mail.personas.workspace import Mirror
from team_mail.team.forge.backend import serve

from ...conftest import git
from .sources import host, repository

SSHD = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")


@pytest.fixture
def source(tmp_path):
    """A repository with two commits."""
    return repository(tmp_path / "source")


def head(folder):
    return git(folder, "rev-parse", "HEAD")


def until(is_so, seconds=30.0):
    """Wait for what nothing tells of: files and processes of others."""
    due = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < due, "it never was so"
        time.sleep(0.01)


@contextmanager
def over_http(root, password=""):
    """Serve the repositories below a folder over HTTP, to those who know the password."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            given = self.headers.get("Authorization", "")
            if password and given != "Basic " + base64.b64encode(f"ada:{password}".encode()).decode():
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            served = serve(root, self.command, path, query, dict(self.headers), body, "ada")
            self.send_response(served.status)
            for name, value in served.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(served.body)

        do_POST = do_GET  # noqa: N815 - the name that http.server looks for

        def log_message(self, *_):
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@contextmanager
def over_git(root):
    """Serve the repositories below a folder with git's own daemon."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["git", "daemon", f"--base-path={root}", "--export-all", "--listen=127.0.0.1", f"--port={port}", str(root)]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL, start_new_session=True) as daemon:
        try:
            until(lambda: not _refuses(port))
            yield f"git://127.0.0.1:{port}"
        finally:
            os.killpg(daemon.pid, signal.SIGTERM)


def _refuses(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port))


def test_a_commit_is_fetched_over_every_transport(source, tmp_path):
    """By a path, a file address, git's daemon, and HTTP; what comes later is fetched by the same way."""
    with over_http(tmp_path) as http, over_git(tmp_path) as daemon:
        remotes = [str(source), f"file://{source}", f"{daemon}/source", f"{http}/source/.git"]
        for number, remote in enumerate(remotes):
            own = host(tmp_path / str(number))
            own.fetch(remote, git(source, "rev-parse", "HEAD~1"))
            git(source, "commit", "--quiet", "--allow-empty", "-m", remote)
            own.fetch(remote, head(source))
            assert own.git.line("for-each-ref", "--format=%(refname)", KEPT) == KEPT + head(source)
            assert own.git.line("rev-parse", "refs/heads/main") == head(source)
            made = Mirror(own.directory, tmp_path / f"work-{number}").workspace("run-1", head(source))
            assert (made.path / "poem.txt").read_text() == "two\n"


@pytest.mark.skipif(SSHD is None, reason="sshd is not installed")
def test_a_commit_is_fetched_over_ssh(source, tmp_path, monkeypatch):
    """With a key of the user's, whom nobody asks anything."""
    for name in ("server", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    shutil.copy(tmp_path / "user.pub", tmp_path / "authorized")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = [f"AuthorizedKeysFile={tmp_path}/authorized", "StrictModes=no", "UsePAM=no", f"PidFile={tmp_path}/pid"]
    words = [SSHD, "-D", "-e", "-f", "/dev/null", "-p", str(port), "-h", str(tmp_path / "server")]
    with subprocess.Popen([*words, *(word for each in options for word in ("-o", each))]) as server:
        try:
            until(lambda: server.poll() is not None or not _refuses(port))
            if server.poll() is not None:
                pytest.skip("sshd does not run here")
            strict = "-oStrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null -oBatchMode=yes"
            monkeypatch.setenv("GIT_SSH_COMMAND", f"ssh -i {tmp_path}/user {strict}")
            own = host(tmp_path)
            own.fetch(f"ssh://127.0.0.1:{port}{source}", head(source))
            assert own.has(head(source))
        finally:
            server.terminate()


def test_credentials_are_those_of_the_users_git_and_are_never_shown(source, tmp_path, monkeypatch):
    """Without them the line says what to try, and has no secret; with a credential helper it works."""
    config, own, commit = tmp_path / "gitconfig", host(tmp_path), head(source)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    with over_http(tmp_path, "hunter2") as http:
        config.write_text("")
        address = f"{http}/source/.git"
        with pytest.raises(NotPrepared, match=rf"could not fetch it .*; to see why: git --git-dir=\S+ fetch {address}"):
            own.fetch(address, commit)
        with pytest.raises(NotPrepared) as wrong:
            own.fetch(address.replace("//", "//ada:wr0ng@"), commit)
        assert "wr0ng" not in str(wrong.value)
        config.write_text('[credential]\n\thelper = "!f() { echo username=ada; echo password=hunter2; }; f"\n')
        own.fetch(address, commit)
    assert own.has(commit)
    assert "hunter2" not in (own.directory / "config").read_text()


def test_users_and_passwords_are_taken_out_of_addresses():
    """The name of a user of ssh is none of them."""
    assert without_secrets("at 'https://ada:p@ss@h.org/x' and http://tok@h/y") == "at 'https://h.org/x' and http://h/y"
    assert without_secrets("ssh://git@h.org/x ssh://a:b@h/x git@h:x") == "ssh://git@h.org/x ssh://h/x git@h:x"


@pytest.mark.parametrize("kind", ["sha256", "shallow", "partial"])
def test_remotes_of_every_kind(tmp_path, source, kind):
    """With ids of SHA-256, or shallow, they serve as others do; of a partial clone it is told what it lacks."""
    remote = tmp_path / "remote"
    if kind == "sha256":
        repository(remote, "--object-format=sha256")
    else:
        option = {"shallow": "--depth=1", "partial": "--filter=blob:none"}[kind]
        git(source, "config", "uploadpack.allowFilter", "true")
        git(tmp_path, "clone", "--quiet", "--no-checkout", option, f"file://{source}", str(remote))
    own = host(tmp_path)
    if kind == "partial":
        shutil.rmtree(source)
        with pytest.raises(NotPrepared, match="could not fetch it"):
            own.fetch(f"file://{remote}", head(remote))
        assert not own.has(head(remote))
        return
    own.fetch(f"file://{remote}", head(remote))
    made = Mirror(own.directory, tmp_path / "work").workspace("run-1", head(remote))
    assert (made.path / "poem.txt").read_text() == "two\n"
    git(made.path, "log", "--stat")


def test_a_clone_of_the_user_gets_the_commit_and_no_branch(source, tmp_path):
    """Its branches, its tags and its work tree stay as they are."""
    git(tmp_path, "clone", "--quiet", str(source), "clone")
    clone, before = tmp_path / "clone", git(tmp_path / "clone", "for-each-ref")
    git(source, "commit", "--quiet", "--allow-empty", "-m", "Newer")
    git(source, "tag", "v1")
    own = HostRepository(clone / ".git", tmp_path / "lock")
    own.fetch(str(source), head(source))
    assert git(clone, "for-each-ref") == f"{before}\n{head(source)} commit\t{KEPT}{head(source)}"
    git(clone, "gc", "--quiet", "--prune=now")
    assert own.has(head(source))
    assert not git(clone, "status", "--porcelain")


def forked(act):
    """Do something in a child process, and return the process."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    return psutil.Process(pid)


def test_processes_that_fetch_at_once_fetch_it_once(source, tmp_path):
    """All have it afterwards, and each leaves the repository whole."""
    own, commit = host(tmp_path), head(source)
    children = [forked(lambda: own.fetch(str(source), commit)) for _ in range(4)]
    assert [os.waitpid(child.pid, 0)[1] for child in children] == [0] * 4
    assert own.has(commit)
    assert len([*own.directory.glob("objects/pack/*.pack")]) == 1
    own.git("fsck", "--strict")


@pytest.mark.parametrize("whole", [False, True])
def test_a_fetch_is_killed_in_the_middle(source, tmp_path, monkeypatch, whole):
    """Be it alone or with all the gits that it started: the next one waits for what still writes, and has it."""
    hook, config = tmp_path / "hook", tmp_path / "gitconfig"
    hook.write_text(
        f'#!/bin/sh\ntouch {tmp_path}/there\nwhile [ ! -e {tmp_path}/go ]; do sleep 0.02; done\nexec "$@"\n'
    )
    hook.chmod(0o755)
    config.write_text(f"[uploadpack]\n\tpackObjectsHook = {hook}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    own, commit = host(tmp_path), head(source)
    child = forked(lambda: own.fetch(f"file://{source}", commit))
    until((tmp_path / "there").exists)
    started = child.children(recursive=True)
    for process in [child, *(started if whole else ())]:
        process.kill()
    os.waitpid(child.pid, 0)
    if whole:
        (own.directory / "packed-refs.lock").touch()
        (own.directory / "refs/heads/main.lock").touch()
        (own.directory / "objects/pack/tmp_pack_left").touch()
    second = forked(lambda: own.fetch(f"file://{source}", commit))
    (tmp_path / "go").touch()
    assert os.waitpid(second.pid, 0)[1] == 0
    assert own.has(commit)
    assert not [*own.directory.glob("**/*.lock"), *own.directory.glob("objects/pack/tmp*")]
    own.git("fsck", "--strict")


def test_many_fetches_leave_few_packs_and_one_ref(source, tmp_path, monkeypatch):
    """What is fetched step by step becomes one pack, and the last commit keeps those before it."""
    monkeypatch.setattr("team_mail.personas.setup.remotes._MOST_PACKS", 3)
    own, commits = host(tmp_path), []
    for number in range(5):
        git(source, "commit", "--quiet", "--allow-empty", "-m", str(number))
        commits.append(head(source))
        own.fetch(str(source), commits[-1])
    assert len([*own.directory.glob("objects/pack/*.pack")]) <= 3
    assert own.git.line("for-each-ref", "--format=%(refname)", KEPT) == KEPT + commits[-1]
    assert all(own.has(commit) for commit in commits)
