"""Answers that are streams, and what their limits are worth; and addresses on networks of one's own."""

from __future__ import annotations

import threading
import time

import pytest
from team_mail.personas.web.events import Enough, EventReader
from team_mail.personas.web.exchange import Refused, exchange
from team_mail.personas.web.urls import server as checked

from ...chat_model import ChatModel, Reply


@pytest.fixture
def model():
    with ChatModel() as model:
        yield model


def ask(model, reply, take=lambda _: None, limit=10.0, idle=0.0):
    model.replies = [reply]
    return exchange("POST", f"{model.url}/chat/completions", b"{}", {}, limit, read=EventReader(take), idle=idle)


def test_events_are_taken_as_they_come(model):
    """Each before the next one is sent; every line end, comments and more lines of one event are understood."""
    came, taken = [], threading.Semaphore(0)

    def take(data):
        came.append(data)
        taken.release()

    body = [b"data: one\n\n", b": comment\r\ndata:two\r\n\r\n", b"event: x\rdata: a\rdata: b\r\r", b"data: last"]
    waits = iter([True, True, True, False])
    ask(model, Reply(body, between=lambda: next(waits) and taken.acquire(timeout=10)), take)
    assert came == ["one", "two", "a\nb", "last"]


def test_whoever_has_enough_ends_the_stream(model):
    over = threading.Event()

    def take(_data):
        raise Enough

    endless = (b"data: x\n\n" for _ in range(10**9))
    began = time.monotonic()
    ask(model, Reply(endless, between=over.is_set), take)
    assert time.monotonic() - began < 5


def test_an_answer_that_comes_byte_by_byte_is_cut_in_time_and_is_no_answer(model):
    """Also one of no stated length, whose connection is to be closed after it."""
    stop = threading.Event()
    for kind in ("text/event-stream", "application/json"):
        drips = Reply([b"x"] * 10_000, kind=kind, between=lambda: stop.wait(0.02))
        with pytest.raises(Refused, match=r"no answer within 0\.3 s") as caught:
            ask(model, drips, limit=0.3)
        assert caught.value.was_sent
    stop.set()


def test_silence_has_a_limit_of_its_own(model):
    over = threading.Event()
    with pytest.raises(Refused, match=r"silent for 0\.1 s"):
        ask(model, Reply([b"data: x\n\n"], between=lambda: over.wait(20)), idle=0.1)
    over.set()


def test_an_endless_line_is_not_kept(model):
    with pytest.raises(Refused, match="has no lines"):
        ask(model, Reply(b"x" * (1 << 20) for _ in range(100)))


@pytest.mark.parametrize(
    "url",
    ["http://localhost:11434/v1", "http://127.0.0.1:8080", "https://example.org/v1", "http://gpu-box:8000/v1",
     "http://192.168.1.5:1234/v1", "https://10.0.0.7/v1", "http://[::1]:9/v1"],
)  # fmt: skip
def test_a_server_may_be_here_in_ones_own_network_or_anywhere_by_https(url):
    assert checked(f"{url}/") == url


@pytest.mark.parametrize(
    ("url", "why"),
    [("http://8.8.8.8/v1", "in no private network: write https"), ("http://169.254.169.254/", "no public address"),
     ("https://me:x@example.org", "no user and password"), ("ftp://example.org", "must begin with https")],
)  # fmt: skip
def test_other_addresses_are_refused(url, why):
    with pytest.raises(ValueError, match=why):
        checked(url)


def test_plain_http_stays_on_private_networks_whatever_a_name_leads_to():
    def read(address):
        return exchange("GET", "http://gpu-box:9/v1", None, {}, 0.2, lambda *_: [address], private=True)

    with pytest.raises(Refused, match=r"gpu-box leads to 93\.184\.216\.34, which is in no private network"):
        read("93.184.216.34")
    with pytest.raises(Refused, match="gpu-box leads to 127"):
        read("127.0.0.1")
