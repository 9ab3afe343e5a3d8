"""One request to an endpoint that may be anybody: where it goes, how long it takes, and what is made of the answer."""

from __future__ import annotations

import select
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from email.utils import format_datetime

import pytest
from team_mail.personas.web.urls import refusal
from team_mail.scheduler.notify.channel import Message, Webhook
from team_mail.scheduler.notify.request import Refused, post

from .conftest import NOW
from .receiver import SECRET, Receiver

SHORT = 0.4
MESSAGE = Message("1", b"{}", "title", "text", is_urgent=False, at=NOW)


@contextmanager
def listening(serve):
    """A server that does with each connection what `serve` says."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept():
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(peer,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        server.shutdown(socket.SHUT_RDWR)


def drip(peer):
    """Answer for ever, a byte at a time."""
    with peer, suppress(OSError):
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"x" * 10_000:
            peer.sendall(bytes([byte]))
            threading.Event().wait(0.05)


def silent(peer):
    """Take nothing, and say nothing, until the other side has had enough."""
    with peer:
        poll = select.poll()
        poll.register(peer, select.POLLRDHUP)
        poll.poll(30_000)


def say(text):
    """Answer once the whole request is read: a close before that is a reset for the other side, and no answer."""

    def serve(peer):
        with peer, peer.makefile("rb") as request:
            length = 0
            is_http = request.peek(1)[:1].isalpha()  # and not the beginning of TLS
            while is_http and (row := request.readline().lower()).strip():
                length = int(row.partition(b":")[2]) if row.startswith(b"content-length:") else length
            request.read(length)
            peer.sendall(text)

    return serve


def why(url, limit=30.0, **more):
    """Why a request was refused; what answers is given the time that a busy machine takes."""
    with pytest.raises(Refused) as refused:
        post(url, b"x" * 60_000, {}, limit=limit, **more)
    return str(refused.value)


@pytest.mark.parametrize("serve", [drip, silent], ids=["a byte at a time", "nothing is read"])
def test_an_endpoint_that_takes_for_ever_is_left_in_time(serve):
    with listening(serve) as url:
        began = time.monotonic()
        assert why(url, SHORT) == f"no answer within {SHORT:g} s"
        assert time.monotonic() - began < 10 * SHORT


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "the connection was closed without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the answer is no HTTP: BadStatusLine"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "the answer is no HTTP: HTTPException"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000, "the answer is no HTTP: LineTooLong"),
    ],
)
def test_an_answer_that_is_none_is_a_reason(text, words):
    with listening(say(text)) as url:
        assert why(url) == words


def test_a_redirect_is_not_followed(tmp_path):
    """301 to elsewhere: elsewhere is not asked, and what it is called stands in no message."""
    (tmp_path / "secret").write_text(SECRET)
    with Receiver() as elsewhere, Receiver(lambda _: 301, Location=elsewhere.url) as moved:
        answer = Webhook(moved.url, tmp_path / "secret").send(MESSAGE)
    assert answer.why.startswith("answered 301, a redirect, which is not followed")
    assert elsewhere.url not in answer.why
    assert (len(moved.got), elsewhere.got) == (1, [])


def test_a_clock_that_is_off_is_named(tmp_path):
    """Whoever checks signatures refuses one that is ten minutes old."""
    (tmp_path / "secret").write_text(SECRET)
    with Receiver(lambda _: 400, Date=format_datetime(NOW.replace(minute=10), usegmt=True)) as ci:
        answer = Webhook(ci.url, tmp_path / "secret").send(MESSAGE)
    assert answer.why == "answered 400; its clock is 10 min off: correct its clock or this one"


def test_a_port_where_nobody_listens_is_a_reason():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert why(f"http://localhost:{port}/") == "Connection refused"


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.100.100.200", "0.0.0.0", "255.255.255.255",
        "224.0.0.1", "fe80::1%eth0", "fd00:ec2::254", "::", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::a9fe:a9fe",
        "2002:0a00:0001::1", "ff02::1", "2001:db8::1", "127.0.0.1", "::1",
    ],
)  # fmt: skip
def test_a_name_that_leads_to_no_public_address_is_refused_before_anybody_connects(address):
    """Whatever a name server says of a public name, and however an address is written."""
    assert refusal(address, loopback=False)
    asked = []
    reason = why("https://ci.example/x", resolver=lambda host, port: asked.append((host, port)) or [address])
    assert reason.startswith(f"ci.example leads to {address} is ")
    assert asked == [("ci.example", 443)]


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "64:ff9b::101:101"])
def test_a_public_address_is_none_to_refuse(address):
    assert refusal(address, loopback=False) == ""
    assert refusal(address, loopback=True)


def test_one_bad_address_among_several_is_enough():
    answers = ["1.1.1.1", "10.0.0.1"]
    assert "10.0.0.1" in why("https://ci.example/x", resolver=lambda *_: answers)


def test_the_connection_goes_to_the_address_that_was_checked():
    """A name server that answers differently the second time is not asked a second time."""
    answers = [["127.0.0.1"], ["10.0.0.1"]]
    with Receiver() as ci:
        assert post(f"http://localhost:{ci.port}/x", b"{}", {}, resolver=lambda *_: answers.pop(0)).status == 204
    assert len(answers) == 1


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority, and certificates by it for `localhost` and for another name."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    new = ("req", "-newkey", "rsa:2048", "-nodes", "-keyout")
    openssl(*new, "ca.key", "-x509", "-days", "2", "-subj", "/CN=A test", "-out", "ca.pem")
    for name in ("localhost", "other.example"):
        openssl(*new, f"{name}.key", "-subj", f"/CN={name}", "-out", f"{name}.csr")
        (folder / "names").write_text(f"subjectAltName=DNS:{name}\n")
        words = ("-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2", "-extfile", "names")
        openssl("x509", "-req", "-in", f"{name}.csr", *words, "-out", f"{name}.pem")
    return folder


@pytest.mark.parametrize(
    ("name", "authority", "reason"),
    [
        ("localhost", "ca.pem", ""),
        ("other.example", "ca.pem", "its certificate is not valid: Hostname mismatch"),
        ("localhost", "other.example.pem", "its certificate is not valid: unable to get local issuer certificate"),
    ],
)
def test_tls_is_checked_against_the_name(certificates, monkeypatch, name, authority, reason):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / authority))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    with Receiver(tls=tls) as ci:
        if reason:
            assert why(ci.url).startswith(reason)
        else:
            assert post(ci.url, b"{}", {}).status == 204
            assert ci.got[0].headers["host"] == f"localhost:{ci.port}"


def test_a_server_without_tls_behind_https_is_a_reason():
    with listening(say(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as url:
        assert why(url.replace("http:", "https:").replace("127.0.0.1", "localhost")).startswith("TLS failed: ")
