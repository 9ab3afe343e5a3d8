"""Conversations with a fake model on loopback: what it is told, what is done, how each kind of failure ends."""

from __future__ import annotations

import json
import threading
import time

import pytest
from team_mail.personas.chat.orders import ChatError
from team_mail.personas.running.rules import Rules
from team_mail.personas.web.api import RateLimited

from ...chat_model import MODEL, Reply, call, calls, delta, refuses, says, sse, usage


def test_a_model_reads_edits_writes_and_ends(talk):
    """It sees each result, its text is printed as it comes, and its tokens are counted while the run goes on."""
    said = talk.hold(
        calls(call("list_files"), call("read_file", 1, path="src/a.py"), text="I look."),
        calls(call("edit_file", path="src/a.py", old="return 2", new="return 22"),
              call("write_file", 1, path="new/b.txt", content="b\n")),
        calls(call("search", pattern="return [0-9]+")),
        says("It is done."),
    )  # fmt: skip
    assert said == "It is done."
    assert (talk.workspace / "src" / "a.py").read_text().endswith("return 22\n")
    assert (talk.workspace / "new" / "b.txt").read_text() == "b\n"
    listed, read = talk.results(1)
    assert listed.split() == [".gitignore", "notes.txt", "src/a.py"]
    assert read.splitlines()[1] == "     2\t    return 1"
    assert talk.results()[-1] == "src/a.py:2:    return 1\nsrc/a.py:6:    return 22"
    assert [each.tool for each in talk.transcript.calls] == [
        "list_files",
        "read_file",
        "edit_file",
        "write_file",
        "search",
    ]
    assert (talk.figures["input"], talk.figures["output"], talk.figures["model"]) == (400, 40, MODEL)
    first = talk.model.requests[0]
    assert (first["model"], first["stream"], first["stream_options"]) == (MODEL, True, {"include_usage": True})
    assert "run" not in {tool["function"]["name"] for tool in first["tools"]}
    assert first["messages"][1] == {"role": "user", "content": "Do your part."}
    assert "stream_event" in talk.kinds()


def test_the_last_line_and_edits_that_do_not_fit_are_told_with_the_nearest_text(talk):
    talk.hold(
        calls(call("edit_file", path="src/a.py", old="def two():\n  return 2", new="x")),
        calls(call("edit_file", path="src/a.py", old="return", new="give")),
        calls(call("edit_file", path="src/a.py", old="return", new="give", count=2)),
        calls(call("edit_file", path="src/a.py", old="give 3", new="x")),
        calls(call("edit_file", path="notes.txt", old="last without an end\n", new="last\n")),
        says("done"),
    )
    near, twice, both, other, last = talk.results()
    assert "The nearest is from line 5, exactly:\ndef two():\n    return 2" in near
    assert "stands in src/a.py 2 times, not 1" in twice
    assert both == "changed src/a.py in 2 places"
    assert "The nearest is from line" in other
    assert last.startswith("changed")
    assert (talk.workspace / "notes.txt").read_text() == "first\nlast"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ('{"path": "src/a.py"', "are not valid JSON"), ("[]", "must be one JSON object"), ("{}", "needs path"),
        ('{"path": 7}', "must be of the type string"), ('{"path": "src/a.py", "strat": 1}', "did you mean start"),
        ('{"path": "src/a.py", "start": true}', "must be of the type integer"),
        ('{"path": "src/a.py", "start": "1", "lines": 2.0}', "def one"),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_are_told_and_the_model_goes_on(talk, arguments, why):
    odd = {"index": 0, "id": "x", "function": {"name": "read_file", "arguments": arguments}}
    assert talk.hold(calls(odd), says("well")) == "well"
    assert why in talk.results()[0]
    sent = talk.model.requests[1]["messages"][2]["tool_calls"][0]["function"]["arguments"]
    assert isinstance(json.loads(sent), dict)  # some servers refuse a request that holds anything else


def test_a_tool_that_there_is_not_is_told(talk):
    talk.hold(calls(call("reed_file", path="x"), call("run", 1, command="ls")), says("well"))
    assert talk.results()[0] == "there is no tool 'reed_file'; did you mean read_file or edit_file?"
    assert "there is no tool 'run'" in talk.results()[1]


def test_what_is_not_allowed_is_refused_and_named_in_the_end(talk):
    """By the persona's rules and by the place; and the prompt's own files can be read."""
    talk.hold(
        calls(call("write_file", path="src/a.py", content=""), call("write_file", 1, path="docs/a.md", content="x"),
              call("write_file", 2, path=".git/config", content="x"), call("read_file", 3, path=".team/run/inbox/1.md"),
              call("list_files", 4, path=".team/run"), call("search", 5, pattern="plum", path=".team/run")),
        says("done"), rules=Rules(("docs/**",)),
    )  # fmt: skip
    own, docs, gits, mail, there, found = talk.results()
    assert "is not this persona's to change" in own
    assert docs.startswith("created")
    assert "is git's own" in gits
    assert "plum" in mail
    assert there == ".team/run/inbox/1.md"
    assert found == ".team/run/inbox/1.md:3:plum"
    talk.printer.end("done")
    assert talk.transcript.denied == "write_file"


def test_commands_are_allowed_one_by_one_and_limited(talk):
    """Both the agent's list and the persona's; there is no shell; output and time have limits; a group ends whole."""
    many = "import sys; sys.stdout.write('x' * 100000)"
    sleeps = "import subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
    began = time.monotonic()
    talk.hold(
        calls(call("run", command="echo 'a  b'"), call("run", 1, command="echo a && echo b"),
              call("run", 2, command="cat notes.txt"), call("run", 3, command="python3 -c 'exit(3)'"),
              call("run", 4, command=f'python3 -c "{many}"'),
              call("run", 5, command=f'python3 -c "{sleeps}"', seconds=1),
              call("run", 6, command="echo $(id)"), call("run", 7, command='echo "')),
        says("done"), commands=("echo *", "python3 *", "cat *"), rules=Rules(None, ("echo *", "python3 *")),
    )  # fmt: skip
    echo, joined, cat, exits, much, late, hidden, quote = talk.results()
    assert echo == "exit 0\na  b\n"
    assert "there is no shell" in joined
    assert "is no command that it may run" in cat
    assert exits.startswith("exit 3")
    assert "bytes left out" in much
    assert len(much) < 21_000
    assert late.startswith("ended, as it took longer than 1s")
    assert time.monotonic() - began < 15
    assert "it has $(…)" in hidden
    assert "cannot be taken apart" in quote
    assert "echo *, python3 *, cat *" in json.dumps(talk.model.requests[0]["tools"])


def test_a_command_sees_no_secret(talk, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "sk-1")
    talk.hold(calls(call("run", command="env")), says("done"), commands=("env",))
    assert "sk-1" not in talk.results()[0]
    assert "PATH=" in talk.results()[0]


# -- when a model goes round in a circle, or does not end


def test_a_call_that_fails_again_and_again_ends_the_run(talk):
    with pytest.raises(
        ChatError, match=r"the same call again and again, and it fails: read_file .*: there is no such file"
    ):
        talk.hold(calls(call("read_file", path="none")))
    assert len(talk.model.requests) == 4


def test_a_turn_that_is_the_same_again_and_again_ends_the_run(talk):
    with pytest.raises(ChatError, match="does the same again and again: list_files"):
        talk.hold(calls(call("list_files")))
    assert len(talk.model.requests) == 7


def test_a_model_that_always_calls_something_is_ended_after_its_turns(talk):
    numbers = iter(range(1000))
    talk.model.answer = lambda _: calls(call("write_file", path=f"{next(numbers)}.txt", content="x"))
    with pytest.raises(ChatError, match="was not done after 9 turns"):
        talk.hold(turns=9)
    assert len(talk.model.requests) == 9


def test_a_model_that_never_stops_talking_is_cut_off(talk):
    """By what it says again and again, and else by the length of its context."""
    with pytest.raises(ChatError, match="never stops: its answer goes round in a circle"):
        talk.hold(Reply([sse(delta(content="and again "), done=False)] * 3_000))
    words = (sse(delta(content=f"word {number} "), done=False) for number in range(3_000))
    with pytest.raises(ChatError, match="longer than its context of 4,096 tokens"):
        talk.hold(Reply([*words]), context=4096)


def test_an_answer_at_its_limit_is_told_and_no_success(talk):
    """Nothing of it is done; the model may go on in smaller steps, and not for ever."""
    cut = Reply(sse(delta(content="half of", tool_calls=[call("write_file", path="x", content="y")]), delta("length")))
    assert talk.hold(cut, says("done")) == "done"
    assert "nothing of it was done" in talk.model.sent(1)[-1]
    assert not (talk.workspace / "x").exists()
    with pytest.raises(ChatError, match=r"cut off \(finish_reason length\), 3 times in a row"):
        talk.hold(cut)
    assert "the answer was cut off (finish_reason length)" in talk.lines()


@pytest.mark.parametrize("silent", [{}, {"content": " \n"}, {"reasoning_content": "I think."}])
def test_an_answer_that_says_nothing_is_asked_about(talk, silent):
    """Three of them end the run, in failure if nothing was called before."""
    empty = Reply(sse(delta(**silent), delta("stop")))
    assert talk.hold(empty, says("yes")) == "yes"
    assert talk.hold(calls(call("list_files")), empty) == ""
    with pytest.raises(ChatError, match="said nothing and called nothing, 3 times in a row"):
        talk.hold(empty)


def test_a_plan_is_no_work_and_is_asked_about_once(talk):
    """A model that says what it will do, and does not, is told so; one that has nothing to do says it again."""
    said = talk.hold(says("I will change it."), calls(call("write_file", path="x", content="")), says("I changed it."))
    assert said == "I changed it."
    assert "you have called nothing, so nothing is read, changed or sent" in talk.model.sent(1)[-1]
    talk.model.requests.clear()
    assert talk.hold(says("All is well.")) == "All is well."
    assert len(talk.model.requests) == 2


# -- when the server fails


def test_what_fails_for_a_moment_is_tried_again(talk):
    """500, 503, a stream that breaks off, one with an error in it, half a line: none of it is done or shown twice."""
    half = sse(delta(content="half", tool_calls=[call("write_file", path="half", content="")]), done=False)
    said = talk.hold(
        refuses(500, "oh"), Reply(half, broken=True), Reply(half),
        Reply(sse(delta(content="half"), {"error": {"message": "no memory"}})), says("whole"),
    )  # fmt: skip
    assert said == "whole"
    assert talk.clock.elapsed == 1 + 2 + 4 + 8
    assert [line.partition("; ")[0] for line in talk.lines()[1:]] == [
        "127.0.0.1 answered 500 to POST /v1/chat/completions: oh", "127.0.0.1: the answer was cut off",
        "127.0.0.1: the answer broke off", "127.0.0.1: no memory",
    ]  # fmt: skip
    assert not (talk.workspace / "half").exists()
    assert talk.transcript.text == "whole"
    with pytest.raises(ChatError, match="answered 502"):
        talk.hold(refuses(502, "bad gateway"))


def test_a_limit_of_rate_is_waited_for_or_told_with_its_time(talk):
    assert (
        talk.hold(refuses(429, "slow down", Retry_After="7"), refuses(503, "busy", Retry_After="5"), says("x")) == "x"
    )
    assert talk.clock.elapsed == 12
    with pytest.raises(RateLimited, match="takes no more calls until"):
        talk.hold(refuses(429, "slow down", Retry_After="3600"))


def test_a_server_that_falls_silent_is_left(talk):
    """It is silent in the middle of a stream: for as long as it may be, each time."""
    over = threading.Event()
    silent = Reply([sse(delta(content="half"), done=False)], between=over.wait)
    try:
        assert talk.hold(silent, says("whole"), silence=0.2) == "whole"
    finally:
        over.set()
    assert talk.lines()[1].startswith("127.0.0.1: silent for 0.2 s")


def test_an_answer_that_drips_is_cut_at_its_limit(talk):
    stop = threading.Event()
    drips = Reply([b": wait\n\n"] * 10_000, between=lambda: stop.wait(0.02))
    try:
        assert talk.hold(drips, says("whole"), limit=0.5) == "whole"
    finally:
        stop.set()
    assert talk.lines()[1].startswith("127.0.0.1: no answer within 0.5 s")


def test_no_server_is_told_at_once_with_what_to_start(talk):
    with pytest.raises(ChatError, match=r"no server answers at http://127\.0\.0\.1:9/v1 .*ollama serve") as caught:
        talk.hold(base_url="http://127.0.0.1:9/v1")
    assert not caught.value.hopeless
    assert talk.clock.elapsed == 3


@pytest.mark.parametrize("status", [400, 404])
def test_a_model_that_there_is_not_is_answered_with_those_that_there_are(talk, status):
    talk.model.models = [{"id": "llama4"}, {"id": "qwen3:30b"}]
    with pytest.raises(ChatError, match=r"has no model 'qwen3'; it has qwen3:30b, llama4") as caught:
        talk.hold(refuses(status, "model not found"))
    assert caught.value.hopeless
    assert len(talk.model.requests) == 1


def test_a_key_is_sent_and_never_repeated(talk):
    with pytest.raises(ChatError, match="look at MY_KEY") as caught:
        talk.hold(refuses(401, "no sk-secret here"), key="sk-secret", variable="MY_KEY")
    assert talk.model.headers[0]["Authorization"] == "Bearer sk-secret"
    assert "sk-secret" not in str(caught.value)
    assert caught.value.hopeless


def test_a_server_without_stream_options_is_asked_without_and_estimates_are_called_so(talk):
    plain = Reply(sse(delta(content="done" * 30), delta("stop")))
    assert talk.hold(refuses(400, "Unrecognized field: stream_options"), plain)
    assert "stream_options" not in talk.model.requests[1]
    assert "the server counts no tokens: those that are told are estimates, of 3 bytes each" in talk.lines()
    assert talk.figures["output"] == 82  # it is asked once more, as it called nothing


def test_an_answer_that_is_no_stream_is_taken(talk):
    message = {"choices": [{"message": {"content": "plain"}, "finish_reason": "stop"}], "usage": usage(5, 6)["usage"]}
    assert talk.hold(Reply(json.dumps(message).encode(), kind="application/json")) == "plain"
    assert (talk.figures["input"], talk.figures["output"]) == (10, 12)  # asked once more, as it called nothing


def test_money_and_cached_tokens_are_told_where_the_server_tells_them(talk):
    told = usage(100, 10, prompt_tokens_details={"cached_tokens": 60}, cost=0.25)
    talk.hold(calls(call("list_files")), Reply(sse(delta(content="x"), delta("stop"), told)))
    assert (talk.figures["input"], talk.figures["cached"]) == (200, 60)
    talk.printer.end("x")
    assert talk.figures["usd"] == 0.25


# -- the context


def loaded(state):
    return {"id": MODEL, "max_context_length": 7_500, "state": state}


@pytest.mark.parametrize(
    ("models", "pages", "size"),
    [
        ([{"id": MODEL, "max_model_len": 4_000}], {}, 4_000),
        ([{"id": MODEL, "context_length": 5_000}], {}, 5_000),
        ([{"id": MODEL}], {"/props": {"default_generation_settings": {"n_ctx": 6_000}}}, 6_000),
        ([{"id": MODEL}], {"/api/v0/models": {"data": [{"id": MODEL, "loaded_context_length": 7_000}]}}, 7_000),
        ([{"id": MODEL}], {"/api/v0/models": {"data": [loaded("loaded")]}}, 7_500),
        ([{"id": MODEL}], {"/api/v0/models": {"data": [loaded("not-loaded")]}}, 32_768),
        ([{"id": f"{MODEL}:latest"}], {"/api/show": {"parameters": "stop x\nnum_ctx    8000"}}, 8_000),
        ([{"id": MODEL}], {"/api/show": {}, "/api/ps": {"models": [{"name": MODEL, "context_length": 9_000}]}}, 9_000),
        ([{"id": MODEL, "max_model_len": "much"}], {"/props": [], "/api/show": {"parameters": None}}, 32_768),
    ],
)  # fmt: skip
def test_the_context_is_what_the_server_tells(talk, models, pages, size):
    talk.model.models, talk.model.pages = models, pages
    talk.hold(says("done"))
    assert talk.lines()[0].startswith(f"context: {size:,} tokens, as ")
    talk.hold(says("done"), context=2_048)
    assert "context: 2,048 tokens, as context says" in talk.lines()


def test_the_oldest_results_are_left_out_first_and_the_prompt_never(talk):
    (talk.workspace / "big.txt").write_text("some words of a large file\n" * 200)
    reads = [calls(call("read_file", path="big.txt", start=start)) for start in range(1, 9)]
    talk.hold(*reads, says("done"), context=8_000, prompt="Remember: plum.")
    texts = talk.results()
    assert texts[0].startswith("[left out to save room")
    assert "some words" in texts[-1]
    assert talk.model.sent()[1] == "Remember: plum."
    sizes = [len(json.dumps(body)) // 3 * 0.6 for body in talk.model.requests]  # the fake counts too little
    assert max(sizes) < 8_000 * 0.75 < sum(sizes)


def test_a_context_that_is_smaller_than_believed_is_learned_from_the_refusal(talk):
    (talk.workspace / "big.txt").write_text("some words of a large file\n" * 400)
    read = calls(call("read_file", path="big.txt"), call("read_file", 1, path="big.txt", start=2))
    said = talk.hold(
        read, refuses(400, "This model's maximum context length is 6000 tokens. However, you requested 9999"),
        refuses(400, "the request exceeds the available context size, try increasing it"), says("done"),
    )  # fmt: skip
    assert said == "done"
    assert talk.talk.memory.context < 6000
    lengths = [len(json.dumps(body)) for body in talk.model.requests]
    assert lengths[1] > lengths[2] > lengths[3]


def test_a_prompt_that_does_not_fit_is_told_before_anything_is_sent(talk):
    with pytest.raises(ChatError, match=r"the prompt has about [\d,]+ tokens, and the context 2,048") as caught:
        talk.hold(says("x"), prompt="word " * 5_000, context=2_048)
    assert caught.value.hopeless
    assert talk.model.requests == []


def test_what_comes_meanwhile_is_told_with_the_next_turn(talk):
    talk.notes = ["conflict-1.md: bob changes line 2, too"]
    talk.hold(calls(call("list_files")), says("done"))
    assert talk.model.sent()[-1] == "[This came meanwhile.]\nconflict-1.md: bob changes line 2, too"


def test_what_comes_as_a_model_is_done_keeps_it_going_for_a_turn(talk):
    talk.notes = ["7.md: one more thing"]
    assert talk.hold(says("done"), calls(call("list_files")), says("that, too")) == "that, too"
    assert talk.model.requests[1]["messages"][-1]["content"].endswith("one more thing")


def test_a_model_that_is_loaded_only_then_tells_its_context_after_the_first_answer(talk):
    """As Ollama does: what was not known before is asked once more."""
    loaded = {"models": [{"name": MODEL, "context_length": 4_096}]}
    talk.model.pages = {"/api/show": {}, "/api/ps": {"models": []}}
    talk.model.answer = lambda _: talk.model.pages.update({"/api/ps": loaded}) or says("done")
    talk.hold()
    assert talk.lines()[0].startswith("context: 32,768 tokens, as nobody says")
    assert talk.lines()[-1] == "context: 4,096 tokens, as Ollama says"
    assert talk.talk.memory.context == 4_096


def test_words_are_printed_as_they_come_in_no_more_events_than_needed(talk):
    """A server that sends one word at a time makes no event of each."""
    words = [f"word {number} " for number in range(300)]
    talk.hold(calls(call("list_files")), Reply(sse(*(delta(content=word) for word in words), delta("stop"))))
    pieces = [json.loads(row) for row in talk.printed.splitlines() if "content_block_delta" in row]
    assert "".join(each["event"]["delta"]["text"] for each in pieces) == "".join(words)
    assert 10 < len(pieces) < 40


def test_what_a_server_wants_back_with_a_call_it_gets_back(talk):
    """DeepSeek refuses a call without what it thought before, and Gemini one without its signature."""
    made = {**call("list_files"), "extra_content": {"google": {"thought_signature": "s1"}}}
    thinks = Reply(sse(delta(reasoning_content="I look "), delta(reasoning_content="first."),
                       delta(tool_calls=[made]), delta("tool_calls")))  # fmt: skip
    talk.hold(thinks, calls(call("list_files", path="src")), says("done"))
    answer, other = talk.model.requests[2]["messages"][2::2]
    assert other["reasoning_content"] == ""
    assert answer["reasoning_content"] == "I look first."
    assert answer["tool_calls"][0]["extra_content"] == made["extra_content"]
    talk.hold(calls(call("list_files")), says("done"))
    assert not {"reasoning_content", "extra_content"} & {*json.dumps(talk.model.requests[-1]).split('"')}
