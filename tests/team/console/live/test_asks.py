"""Asks: many personas at once, each with its stream, whoever watches, leaves, comes back or starts the server again."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator

import pytest
from team_mail.personas.agents.command import CommandAgent
from team_mail.personas.agents.function import FunctionAgent
from team_mail.scheduler.errors import InvalidTasks, NoSuchRun, NotReady
from team_mail.team.console.live.ask import Closing
from team_mail.team.console.live.asks import AskRequest, Asks
from team_mail.team.console.live.viewing import watched
from team_mail.team.console.live.wanted import Wanted
from team_mail.team.console.wire.spool import Audience
from team_mail.team.dispatcher import ParallelDispatcher
from team_mail.team.open import open_for_dispatch

from ....waiting import until_there
from .test_wire import parsed

ME = "login:me"


class Desk:
    """The asks of a team without a repository, whose agent is a function of the job, or a line of shell."""

    def __init__(self, folder) -> None:
        self.home = folder / ".team"
        (self.home / "personas").mkdir(parents=True)
        for name in ("kart", "riggs", "ada", "complete"):
            (self.home / "personas" / f"{name}.md").write_text(f"---\nid: {name}\n---\nDo.\n")
        self.open: list[Asks] = []
        self.play = lambda job: job.say(f"Here is {job.persona}\n")

    def asks(self, most: int = 16, grace: float = 30.0) -> Asks:
        agent = self.play if isinstance(self.play, CommandAgent) else FunctionAgent(self.play)
        asks = Asks(
            lambda: open_for_dispatch(self.home)[0], most, grace,
            lambda config: ParallelDispatcher(config, agent=agent, home=self.home),
        )  # fmt: skip
        self.open.append(asks)
        return asks


@pytest.fixture
def desk(tmp_path, monkeypatch) -> Iterator[Desk]:
    """A team whose asks are ended after the test."""
    monkeypatch.chdir(tmp_path)
    desk = Desk(tmp_path)
    yield desk
    for asks in desk.open:
        asks.close()
        asks.wait()


def request(*wanted: str | Wanted, owner: str = ME, **more) -> AskRequest:
    all_wanted = tuple(each if isinstance(each, Wanted) else Wanted(each, f"What does {each} do?") for each in wanted)
    return AskRequest(all_wanted, owner, **more)


def stream(ask, at: int = 0, audience=Audience.ALL, most: int = 10_000) -> list[tuple[str, str]]:
    """Watch an ask to its end, or for so many events."""

    async def watch() -> list[dict[str, str]]:
        events: list[dict[str, str]] = []
        async for batch in watched(ask, at, audience, lambda: False):
            events += parsed(batch)
            if len(events) >= most:
                break
        return events

    return [(event["event"], event["data"]) for event in asyncio.run(asyncio.wait_for(watch(), 20))]


def by_name(events: list[tuple[str, str]]) -> dict[str, str]:
    """Put the text of each name together."""
    text: dict[str, str] = {}
    for name, data in events:
        text[name] = text.get(name, "") + data
    return text


def test_each_persona_streams_under_its_name_and_all_end_with_complete(desk):
    """As the documented exchange: pieces, `done_` for each, and one `complete`."""
    events = stream(desk.asks().start(request("Kart", "Riggs", "Kart")))
    assert events[-1] == ("complete", "[COMPLETE]")
    assert by_name(events[:-1]) == {
        "Kart": "Here is kart", "Riggs": "Here is riggs", "Kart.2": "Here is kart",
        "done_Kart": "[DONE]", "done_Riggs": "[DONE]", "done_Kart.2": "[DONE]",
    }  # fmt: skip
    for name in ("Kart", "Riggs", "Kart.2"):
        order = [event for event, _ in events]
        assert order.index(name) < order.index(f"done_{name}")


def test_one_that_fails_says_why_and_the_others_go_on(desk):
    """Its last words are the text of its error."""

    def play(job):
        if job.persona == "kart":
            raise ValueError("no such thing")
        return {"found": job.persona}

    desk.play = play
    text = by_name(stream(desk.asks().start(request("Kart", "Ada"))))
    assert text["error_Kart"] == "ValueError: no such thing"
    assert text["Ada"] == '{"found":"ada"}'  # it printed nothing, so its result is shown
    assert (text["done_Ada"], text["complete"]) == ("[DONE]", "[COMPLETE]")


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ([], "tasks: at least one"),
        ([Wanted("Kart", "x")] * 51, "at most 50"),
        ([Wanted("Kart", "x"), Wanted("Riggs", " \n")], r"tasks\[1\].prompt"),
        ([Wanted("kurt", "x")], r"tasks\[0\].persona: there is no persona 'kurt'; did you mean kart"),
        ([Wanted("Kart\nevent: complete", "x")], r"tasks\[0\].persona: is not a name"),
        ([Wanted("Kart", "x", after=("Ada",))], r"tasks\[0\].after"),
        ([Wanted("Kart", "x", after=(0,))], r"tasks\[0\].after"),
        ([Wanted("Kart", "x", after=(1,)), Wanted("Ada", "x", after=(0,))], "depend"),
    ],
)
def test_what_cannot_be_asked_starts_nothing(desk, wanted, problem):
    """The refusal names the place, and nothing is on record."""
    asks = desk.asks()
    with pytest.raises(InvalidTasks, match=problem):
        asks.start(request(*wanted))
    assert asks.listed(ME) == []


def test_no_more_runs_go_on_at_once_than_there_are_slots(desk):
    """Over all asks; who has to wait is told how many are before it, if it asked for such events."""
    pair, turn, going, most = threading.Barrier(2), threading.Lock(), [0], [0]

    def play(_):
        with turn:
            going[0] += 1
            most[0] = max(most[0], going[0])
        pair.wait(10)
        with turn:
            going[0] -= 1
        pair.wait(10)

    desk.play = play
    asks = desk.asks(most=2)
    ask = asks.start(request("Kart", "Ada", "Riggs", "Kart"))
    events = stream(ask, 0, Audience.TEAM)
    assert events[:2] == [("queued_Riggs", '{"place":1}'), ("queued_Kart.2", '{"place":2}')]
    assert ("queued_Kart.2", '{"place":1}') in events  # once one before it has ended
    assert [name for name, _ in events].count("complete") == 1
    assert most == [2]


def test_every_viewer_gets_all_and_can_go_on_from_any_event(desk):
    """Ids are dense, and a stream from behind one holds what follows it."""
    desk.play = lambda job: [job.say(f"line {number}\n") for number in range(50)] and None
    ask = desk.asks().start(request("Kart", "Ada"))

    async def both():
        batches = [batch async for batch in watched(ask, 0, Audience.TOOLS, lambda: False)]
        return parsed(b"".join(batches))

    events = asyncio.run(both())
    assert [event["id"] for event in events] == [f"{ask.id}:{number}" for number in range(len(ask.frames))]
    everything = [(event["event"], event["data"]) for event in events]
    for at in (0, 1, len(everything) - 1, len(everything), len(everything) + 5):
        assert stream(ask, at, Audience.TOOLS) == everything[at:]
    assert by_name(everything)["Kart"] == "\n".join(f"line {number}" for number in range(50))


def test_a_stream_ends_with_the_last_event_though_that_shows_nothing(desk):
    """Its viewers are woken when all was taken, too, not only by what they are to see."""
    ask = desk.asks().start(request("Kart"))
    stream(ask)

    async def late():
        ask.hear([Closing("")])
        watching = asyncio.ensure_future(anext(watched(ask, len(ask.frames), Audience.ALL, lambda: False, 300.0), b""))
        await asyncio.sleep(0)
        assert not watching.done()
        ask.step()
        return await asyncio.wait_for(watching, 20)

    assert asyncio.run(late()) == b""


def test_an_ask_ends_with_its_viewers_unless_it_is_detached(desk):
    """After a while without any; a detached one goes on."""
    gate, ended = threading.Event(), threading.Event()

    def play(job):
        job.say("begun")
        if job.persona == "kart" and job.stop.wait(10):
            ended.set()
            raise RuntimeError("stopped")
        gate.wait(10)

    desk.play = play
    asks = desk.asks(grace=0.3)
    going, ending = asks.start(request("Ada")), asks.start(request("Kart", detached=False))
    assert stream(ending, most=1) + stream(going, most=1) == [("Kart", "begun"), ("Ada", "begun")]
    assert ended.wait(10)
    gate.set()
    assert by_name(stream(ending))["error_Kart"] == "the ask was ended before"
    assert by_name(stream(going))["done_Ada"] == "[DONE]"


def test_the_same_key_asks_once(desk):
    """Whoever sends a request again gets the ask that it began, also after the server was started again."""
    asks = desk.asks()
    ask = asks.start(request("Kart", key="k"))
    stream(ask)
    assert asks.start(request("Kart", key="k")) is ask
    assert asks.start(request("Kart", key="k", owner="login:other")).id != ask.id
    second = desk.asks()
    for each in (asks, second):
        with pytest.raises(NotReady, match="'k' belongs to another ask"):
            each.start(request("Riggs", key="k"))
    assert second.start(request("Kart", key="k")).id == ask.id
    assert len(second.listed(ME)) == 2


def test_nobody_sees_the_ask_of_another(desk):
    """Neither it nor its place in the list."""
    asks = desk.asks()
    ask = asks.start(request("Kart", owner="token:a"))
    stream(ask)
    for who in ("token:b", ME):
        with pytest.raises(NoSuchRun):
            asks.get(ask.id, who)
        assert asks.listed(who) == []
    assert [row["id"] for row in asks.listed("token:a")] == [ask.id]


def test_a_task_can_be_stopped_while_it_runs_and_before(desk):
    """The one that runs ends, the one that waits never starts, and the rest goes on."""
    begun, ended = threading.Event(), threading.Event()

    def play(job):
        begun.set()
        if job.persona == "kart" and job.stop.wait(10):
            ended.set()
            raise RuntimeError("stopped")

    desk.play = play
    asks = desk.asks(most=1)
    ask = asks.start(request("Kart", "Ada", "Riggs"))
    begun.wait(10)
    stream(ask, 0, Audience.TEAM, 2)
    asks.stop_task(ask.id, "Ada", ME, "you")
    asks.stop_task(ask.id, "Kart", ME, "you")
    text = by_name(stream(ask))
    assert ended.is_set()
    assert text["error_Ada"] == "cancelled before it started"
    assert "stopped" in text["error_Kart"]
    assert text["done_Riggs"] == "[DONE]"
    with pytest.raises(NoSuchRun):
        asks.stop_task(ask.id, "Kart", ME, "you")


def test_what_failed_can_be_tried_again_in_the_same_stream(desk):
    """What succeeded stays, and the events go on behind `complete`."""
    tries: list[str] = []

    def play(job):
        tries.append(job.persona)
        if job.persona == "kart" and len(tries) < 3:
            raise ValueError("not yet")
        return {"text": f"{job.persona} did"}

    desk.play = play
    asks = desk.asks(most=1)
    ask = asks.start(request("Ada", "Kart"))
    assert stream(ask)[-1] == ("complete", "[COMPLETE]")
    before = len(ask.frames)
    assert asks.retry(ask.id, ME) is ask
    after = stream(ask, before, Audience.TEAM)
    assert [event for event in after if event[0] != "queued_Kart"] == [
        ("retry_Kart", '{"attempt":2}'), ("Kart", "kart did"), ("done_Kart", "[DONE]"), ("complete", "[COMPLETE]"),
    ]  # fmt: skip
    assert tries == ["ada", "kart", "kart"]
    with pytest.raises(NotReady):
        asks.retry(ask.id, ME)


def test_an_answer_goes_into_the_prompt_of_the_next(desk):
    """One that comes after others starts when these are done, and is given what they answered."""
    given: dict[str, object] = {}

    def play(job):
        given[job.persona] = job.assignment.input
        return {"text": f"{job.persona} says {{{{x}}}}"}

    desk.play = play
    stream(desk.asks().start(request("Kart", Wanted("Ada", "Judge it.", after=("Kart",)))))
    assert given == {"kart": {}, "ada": {"answers": {"Kart": {"text": "kart says {{x}}"}}}}


def test_a_follow_up_bears_the_earlier_turns_of_its_own_conversation(desk):
    """Those of the same asker, session and persona; nobody else's."""
    given: list[object] = []

    def play(job):
        given.append(job.assignment.input)
        return {"text": f"answer {len(given)}"}

    desk.play = play
    asks = desk.asks()
    for owner in (ME, ME, "token:other"):
        stream(asks.start(request(Wanted("Kart", "Go on {{ tasks.x.output }}", follow_up=True), owner=owner)))
    turn = {"asked": "Go on { { tasks.x.output }}", "answered": "answer 1"}
    assert given == [{}, {"conversation": [turn]}, {}]


def test_a_stream_can_be_watched_again_after_the_server_was_started_again(desk):
    """It is made anew from the log and the output: the same text, other numbers, and whoever goes on is told."""
    ask = desk.asks().start(request("Kart", "complete"))
    before = stream(ask)
    second = desk.asks()
    again = second.get(ask.id, "login:another")  # the sessions of before are gone
    assert again is not ask
    assert by_name(stream(again)) == by_name(before)
    assert [row["id"] for row in second.listed("login:another")] == [ask.id]  # looking at it does not hide it
    assert second.listed("token:a") == []
    assert by_name(before)["complete.1"] == "Here is complete"
    assert stream(again, 1)[0] == ("restarted", ask.id)
    assert stream(again, 1)[1:] == stream(again)
    with pytest.raises(NoSuchRun):
        desk.asks().get("0" * 8, ME)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere runs do not outlive their scheduler")
def test_detached_asks_go_on_with_the_next_server(desk, tmp_path):
    """Their runs outlive the first one; the others end with it, and all are on record."""
    begun, go = tmp_path / "begun", tmp_path / "go"
    desk.play = CommandAgent(
        "sh", ("sh", "-c", f"echo one; touch {begun}-$TEAM_PERSONA; until test -e {go}; do sleep 0.02; done; echo two")
    )
    first = desk.asks()
    ask, ending = first.start(request("Kart", "Ada")), first.start(request("Riggs", detached=False))
    for name in ("kart", "ada", "riggs"):
        until_there(begun.with_name(f"begun-{name}"))
    assert {name for name, _ in stream(ask, most=2)} == {"Kart", "Ada"}
    first.close()
    first.wait()
    second = desk.asks()
    assert second.resume_left() == [ask.id]
    watching = second.get(ask.id, ME)
    assert stream(watching, 0, Audience.TEAM, 1)[0] == ("restarted", ask.id)
    go.touch()
    text = by_name(stream(watching))
    assert (text["Kart"], text["Ada"], text["done_Kart"], text["done_Ada"]) == (
        "one\ntwo",
        "one\ntwo",
        "[DONE]",
        "[DONE]",
    )
    over = by_name(stream(second.get(ending.id, ME)))
    assert set(over) == {"Riggs", "error_Riggs", "complete"}


def test_a_full_disk_costs_words_and_says_so(desk, monkeypatch):
    """The stream goes on with what there is room for, and ends as the others do."""
    go, full = threading.Event(), [False]

    def play(job):
        for number in range(3):
            job.say(f"line {number}\n")
            go.wait(10)
            go.clear()

    desk.play = play
    asks = desk.asks()
    ask = asks.start(request("Kart"))
    add = ask.frames.add

    def added(data, audience):
        if full[0]:
            full[0] = False
            raise OSError(28, "No space left on device")
        add(data, audience)

    monkeypatch.setattr(ask.frames, "add", added)
    assert stream(ask, most=1) == [("Kart", "line 0")]
    full[0] = True
    go.set()
    while full[0]:
        threading.Event().wait(0.01)
    go.set()
    text = by_name(pull(ask, go))
    assert text["Kart"] == "line 0\n[part of the output is left out here: there was no room for it]\n\nline 2"
    assert text["complete"] == "[COMPLETE]"


def pull(ask, go) -> list[tuple[str, str]]:
    """Let an agent go on until its ask is over, and watch that."""
    done = threading.Event()

    def push():
        while not done.wait(0.05):
            go.set()

    pusher = threading.Thread(target=push)
    pusher.start()
    try:
        return stream(ask)
    finally:
        done.set()
        pusher.join()


def test_a_stream_that_breaks_costs_no_other(desk, monkeypatch):
    """What watches it is told; the hub goes on, and what failed behind the break is tried again."""
    gate, tries = threading.Event(), list[str]()

    def play(job):
        gate.wait(10)
        tries.append(job.persona)
        if tries == ["kart"]:
            raise ValueError("not yet")
        return {"text": "done"}

    desk.play = play
    asks = desk.asks(most=1)
    broken, other = asks.start(request("Kart")), asks.start(request("Ada"))

    def breaks():
        raise RuntimeError("no such frame")

    with pytest.warns(RuntimeWarning, match="no such frame"):  # noqa: PT031 - it is a thread that warns
        broken.on_step = breaks
        gate.set()
        text = by_name(stream(broken))
        assert by_name(stream(other))["done_Ada"] == "[DONE]"
    assert text["error_Kart"] == "this stream broke off: RuntimeError: no such frame"
    asks._carriers[broken.id].join()
    again = asks.retry(broken.id, ME)  # in a stream that is made anew from the log, which whoever watches is told
    assert by_name(stream(again))["done_Kart"] == "[DONE]"
    assert stream(again, 1)[0] == ("restarted", broken.id)
    assert tries == ["kart", "ada", "kart"]
