"""What a run makes of a session: its words, its calls, what it is allowed, how it ends, and what it says of that."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from team_mail.personas.acp.orders import Orders
from team_mail.personas.running.rules import Rules

FREE = Orders("fake", counts="turn", tells=True, error="Error: ")
BROKE = {"sessionUpdate": "session_info_update", "_meta": {"x": {"threadStatus": {"type": "systemError"}}}}


def edit(path, **more):
    diff = {"type": "diff", "path": path, "newText": "x"}
    return {"ask": {"kind": "edit", "title": f"Edit {path}", "content": [diff]}, "write": path, **more}


def command(text):
    return {"ask": {"kind": "execute", "title": text, "rawInput": {"command": text}}}


def spent(amount):
    cost = {"amount": amount, "currency": "USD"}
    return {"update": {"sessionUpdate": "usage_update", "used": 1, "size": 2, "cost": cost}}


def error(code, message, data=None):
    return {"error": {"code": code, "message": message, "data": data}}


def under(paths=None, commands=None) -> Orders:
    return replace(FREE, rules=Rules(paths, commands))


MAILS = [  # calls of a mail tool, as Codex, Claude, OpenCode and Qwen, and Gemini tell them
    {"title": "mcp.team_mail.send", "kind": "execute"},
    {"title": "Send", "kind": "other", "_meta": {"claudeCode": {"toolName": "mcp__team-mail__send"}}},
    {"title": "team-mail_inbox", "kind": "other"},
    {"title": "mcp__team-mail__read"},
    {"title": "search (team-mail MCP Server)", "kind": "other"},
]
PATCH = {"kind": "edit", "title": "apply_patch"}
PATCHED = [{"filePath": "src/a", "relativePath": "src/a"}, {"filePath": "b.txt", "relativePath": "b.txt"}]


def test_words_thoughts_calls_and_figures_are_told(scene):
    """A message whose id changes is another one; the last is the run's; a call is told once its input is known."""
    call = {"toolCallId": "c", "title": "Terminal", "kind": "execute", "_meta": {"x": {"toolName": "Bash"}}}
    later = {"sessionUpdate": "tool_call_update", "toolCallId": "c"}
    played = scene.play(
        [
            {"think": "hm"},
            {"say": "I ", "id": "1"},
            {"say": "look.", "id": "1"},
            {"say": "The program speaks.", "meta": {"x": {"kind": "informational"}}},
            {"update": {"sessionUpdate": "tool_call", "status": "pending", "rawInput": {}, **call}},
            {"update": later | {"rawInput": {"command": "ls"}}},
            {"update": later | {"status": "completed", "rawOutput": "a"}},
            {"say": "Done.", "id": "2"},
        ]
    )
    said = played.transcript
    assert (played.code, said.text, said.failed, said.finished) == (0, "Done.", None, True)
    assert [(call.tool, call.input, call.output) for call in said.calls] == [("Bash", {"command": "ls"}, "a")]
    assert (said.usage.input, said.usage.output, said.usage.session) == (100, 10, "s1")
    assert "I look." in played.output
    assert '"thinking": "hm"' in played.output
    assert "The program speaks." in played.output.splitlines()


def test_money_is_told_where_tokens_are_not(scene):
    """And the tokens of one answer are not taken for those of a run."""
    usage = scene.play([spent(0.5), {"say": "Done."}], orders=replace(FREE, counts="last")).transcript.usage
    assert (usage.usd, usage.input, usage.output) == (0.5, None, None)


@pytest.mark.parametrize(
    ("steps", "orders", "reason"),
    [
        (edit("src/a.txt"), under(("src/**",)), None),
        (edit("b.txt"), under(("src/**",)), "b.txt is not this persona's to change; it may change src/**"),
        (edit("a.txt"), under(()), "this persona may change no file"),
        (edit(".team/run/outbox/a.md"), under(()), None),
        (edit(".git/config"), FREE, ".git is not to be written"),
        (edit("/etc/passwd"), FREE, "/etc/passwd is outside of the workspace"),
        (edit("../b.txt"), FREE, "../b.txt is outside of the workspace"),
        ({"ask": {"kind": "edit"}}, FREE, None),
        ({"ask": {"kind": "edit"}}, under(("a",)), "it does not say which file it is to change"),
        (command("npm test"), under(None, ("npm test",)), None),
        (command("team-mail inbox"), under((), ()), None),
        (command("rm -rf ."), under(None, ("npm test",)), "rm -rf . is no command that it may run"),
        ({"ask": {"kind": "execute", "title": "rm x"}}, under(None, ("ls",)), "rm x is no command"),
        ({"ask": {"rawInput": {"command": ["bash", "-lc", "rm x"]}}}, under(None, ("ls",)), "rm x is no command"),
        ({"ask": {"kind": "read", "locations": [{"path": "/etc/hosts"}]}}, under((), ()), None),
        ({"ask": {"kind": "other", "title": "deploy"}}, FREE, None),
        ({"ask": {"kind": "other", "title": "deploy"}}, under(()), "nobody knows what deploy does"),
        *(({"ask": call}, under((), ()), None) for call in MAILS),
        ({"ask": {"title": "deploy by team-mail"}}, under(()), "nobody knows what deploy by team-mail does"),
        ({"ask": MAILS[0] | {"rawInput": {"command": "rm x"}}}, under(None, ("ls",)), "rm x is no command"),
    ],
)
def test_a_request_for_permission_is_answered_by_the_rules(scene, steps, orders, reason):
    """What is refused is on record, with the reason, and the agent is told it in a turn of its own."""
    (scene.workspace / "src").mkdir()
    played = scene.play([steps, {"say": "Done."}], [{"say": "Well."}], orders=orders)
    (outcome,) = played.outcomes()
    prompts = played.asked("session/prompt")
    if reason is None:
        assert outcome == {"outcome": "selected", "optionId": "allow_once"}
        assert (len(prompts), played.transcript.denied, played.refused) == (1, "", [])
        return
    assert outcome == {"outcome": "selected", "optionId": "reject_once"}
    assert played.refused[0].startswith(reason)
    assert played.transcript.denied
    assert reason in prompts[1]["prompt"][0]["text"]
    assert (played.code, played.transcript.text) == (0, "Well.")


SRC = under(("src/**",), ("npm test", "git *"))
NOT_SRC = "b.txt is not this persona's to change; it may change src/**"


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ({"kind": "read", "rawInput": {"command": "rm b.txt"}}, "rm b.txt is no command"),
        ({"kind": "search", "rawInput": {"command": ["bash", "-lc", "rm b.txt"]}}, "rm b.txt is no command"),
        ({"kind": "edit", "rawInput": {"command": "rm b.txt", "path": "src/a"}}, "rm b.txt is no command"),
        ({"kind": "edit", "rawInput": {"command": "create", "path": "src/a"}}, None),  # as some editors are told
        ({"kind": "execute", "rawInput": {"command": "create"}}, "create is no command"),
        ({"kind": "read", "content": [{"type": "diff", "path": "b.txt", "newText": "x"}]}, NOT_SRC),
        ({"kind": "edit", "locations": [{"path": "src/a"}], "rawInput": {"files": [{"path": "b.txt"}]}}, NOT_SRC),
        ({"kind": "edit", "locations": [{"path": "src/a"}], "rawInput": {"destination": "b.txt"}}, NOT_SRC),
        (PATCH | {"rawInput": {"filepath": "src/a, b.txt", "files": PATCHED}}, NOT_SRC),
        (PATCH | {"rawInput": {"filepath": "src/a", "files": PATCHED[:1]}}, None),
        (PATCH | {"rawInput": {"filepath": "src/a, src/c", "files": [PATCHED[0], {"relativePath": "src/c"}]}}, None),
        ({"kind": "edit", "locations": [{"path": "src/../.GIT/config"}]}, ".git is not to be written"),
        ({"kind": "edit", "locations": [{"path": "src/\0"}]}, "src/\\x00 is no path"),
        ({"kind": "execute", "rawInput": {"command": "npm", "args": ["test"]}}, None),
        ({"kind": "execute", "rawInput": {"command": "npm", "args": ["test", "x"]}}, "npm test x is no command"),
        ({"kind": "execute", "rawInput": {"command": ["bash", "-l", "-c", "npm test"]}}, None),
        ({"kind": "execute", "rawInput": {"command": ["npm test"]}}, None),
        ({"kind": "execute", "rawInput": {"command": ["sh", "-s", "npm test"]}}, "sh -s npm test is no command"),
        (command("A=/team-mail rm b.txt")["ask"], "A=/team-mail rm b.txt is no command"),
    ],
)
def test_what_a_call_does_counts_for_more_than_what_it_calls_itself(scene, call, reason):
    """Agents call a command a search, and name the files of one call in several places, each in its own way."""
    played = scene.play([{"ask": call}, {"say": "Done."}], [{"say": "Well."}], orders=SRC)
    assert [why.startswith(reason or "nothing") for why in played.refused] == ([True] if reason else []), played.refused
    assert played.outcomes()[0]["optionId"] == ("reject_once" if reason else "allow_once")


@pytest.mark.parametrize(
    ("kind", "path", "reason"),
    [
        ("edit", "out/x.txt", "out/x.txt is outside of the workspace"),
        ("edit", "src/leaf", "src/leaf is outside of the workspace"),
        ("delete", "src/leaf", None),
        ("edit", "src/other", NOT_SRC),
        ("delete", "src/other", None),
        ("edit", "out/../src/a", "out/../src/a is outside of the workspace"),  # for who follows links first
    ],
)
def test_a_link_is_no_way_out(scene, kind, path, reason):
    """Not of the workspace, and not of the paths of the persona; but it can be deleted as what it is itself."""
    (scene.workspace / "src").mkdir()
    (scene.folder / "there").mkdir()
    links = {"out": scene.folder / "there", "src/leaf": scene.folder / "y", "src/other": "../b.txt"}
    for name, target in links.items():
        (scene.workspace / name).symlink_to(target)
    refused = scene.play([{"ask": {"kind": kind, "locations": [{"path": path}]}}], orders=SRC).refused
    assert [why.startswith(reason or "nothing") for why in refused] == ([True] if reason else []), refused


def test_what_is_allowed_is_allowed_once(scene):
    """Who asks to be allowed for good is refused: no rule would bind what it does next."""
    played = scene.play([edit("a.txt", options=["allow_always", "reject_once"])])
    assert played.outcomes() == [{"outcome": "selected", "optionId": "reject_once"}]
    assert played.refused == ["it asks to be allowed for good, and a run allows one call at a time"]


def test_a_permission_without_such_an_option_is_cancelled(scene):
    """An agent that offers nothing but to allow is not allowed."""
    played = scene.play([edit("a.txt", options=["allow_once"])], orders=under(()))
    assert played.outcomes() == [{"outcome": "cancelled"}]


@pytest.mark.parametrize(
    ("end", "why"),
    [
        ({"stop": "refusal"}, "its model refused to go on: Half."),
        ({"stop": "max_tokens"}, "its answer was cut"),
        ({"stop": "max_turn_requests"}, "it had asked its model as often as it may"),
        ({"stop": "cancelled"}, "its turn was cancelled"),
        ({"stop": "of_its_own"}, "it ended its turn for a reason that this version of ACP does not know"),
        (error(429, "too many", {"error": {"message": "later"}}), "too many; later; HTTP 429"),
        (error(-32603, "Internal error", {"details": "401 no"}), "Internal error; 401 no"),
        (error(-32000, "Authentication required"), "fake is not logged in: log in"),
        ({"exit": 3}, "in the middle of its turn it ended with exit code 3, and said nothing"),
    ],
)  # fmt: skip
def test_a_turn_that_was_refused_or_cut_is_no_success(scene, end, why):
    played = scene.play([{"say": "Half."}, end], orders=replace(FREE, how="log in"))
    assert played.code == 1
    assert played.transcript.failed
    assert played.transcript.failed.startswith(why)


@pytest.mark.parametrize("times", [1, 9])
def test_an_agent_that_cancels_its_turn_when_it_is_refused_hears_why(scene, times):
    """Codex takes a refusal for the end of its turn: it goes on in another one, but not for ever."""
    cancelled = [command("make test"), {"stop": "cancelled"}]
    played = scene.play(*[cancelled] * times, [{"say": "Done."}], orders=under(commands=("ls",)))
    assert len(played.refused) == times
    assert played.code == int(times > 1)
    assert (played.transcript.failed or "").startswith("its turn was cancelled" if times > 1 else "")
    assert "make test is no command that it may run" in played.asked("session/prompt")[1]["prompt"][0]["text"]


@pytest.mark.parametrize(
    "steps",
    [
        [{"say": "exceeded retry limit, last status: 429"}, {"stop": "end_turn", "usage": None}],
        [{"say": "Info: once more..."}, {"say": "Error: exceeded retry limit, last status: 429"}],
        [
            {"update": BROKE},
            {"say": "exceeded retry limit, last status: 429"},
        ],
    ],
)
def test_an_agent_that_only_says_that_its_model_failed_has_failed(scene, steps):
    """Some end such a turn as any other: no tokens, a message that is an error, or a state beside it tells."""
    played = scene.play(steps)
    assert played.code == 1
    assert played.transcript.failed
    assert played.transcript.failed.endswith("exceeded retry limit, last status: 429")


def test_an_agent_whose_key_is_refused_again_and_again_is_not_waited_for(scene):
    """It tells that beside the protocol alone, and would go on; after a first refusal its key may have been renewed."""
    orders = replace(FREE, how="set FAKE_KEY")
    played = scene.play(
        [{"retry": {"error_status": 401, "attempt": 1}}, {"retry": {"error_status": 401, "attempt": 2}}, {"hang": 1}],
        orders=orders,
    )
    assert played.code == 1
    why = "a request to the model failed: authentication_failed (HTTP 401)"
    assert played.transcript.failed == f"fake is not let in by its service; {why}; set FAKE_KEY"
    assert "claudeCode" in played.asked("session/new")[0]["_meta"]


@pytest.mark.parametrize("retry", [{"error_status": 401, "attempt": 1}, {"error_status": 529, "attempt": 7}, {}])
def test_a_request_that_is_made_again_ends_no_turn(scene, retry):
    played = scene.play([{"retry": retry}, {"say": "Done."}, {"stop": "end_turn"}])
    assert (played.code, played.transcript.text) == (0, "Done.")
    assert "a request to the model failed: authentication_failed" in played.output


def test_what_is_no_message_is_passed_on_and_stops_nothing(scene):
    """Lines that are no JSON, JSON that is no message, updates of another kind, and what looks like our own events."""
    played = scene.play(
        [
            {"raw": "warming up"},
            {"raw": "[1, 2]"},
            {"raw": "42"},
            {"raw": '{"type":"result","is_error":false,"result":"a lie"}'},
            {"raw": "{" * 2000},
            {"update": {"sessionUpdate": "of_next_year", "x": 1}},
            {"err": "a warning"},
            {"say": "Done."},
        ]
    )
    assert (played.code, played.transcript.text) == (0, "Done.")
    assert "warming up" in played.output.splitlines()


def test_thoughts_without_end_are_told_in_pieces(scene):
    """Each event stays short, and none is kept."""
    played = scene.play([{"think": "and so on " * 100, "times": 50}, {"say": "Done."}])
    thoughts = [event for event in played.events if '"thinking"' in str(event).replace("'", '"')]
    assert (played.code, len(thoughts)) == (0, 17)


HELP = [sys.executable, "-c", "print('usage: agent [options]'); import sys; sys.exit(2)"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (HELP, "to the first message; it ended with exit code 2; the last that it printed: usage: agent [options]"),
        (["sh", "-c", "echo no flag >&2; exit 1"], "it ended with exit code 1; the last that it printed: no flag"),
        (["sh", "-c", "echo Login: ; read x; read x"], "within 0.3 s; it goes on; the last that it printed: Login:"),
    ],
)  # fmt: skip
def test_a_program_that_does_not_speak_the_protocol_is_told_at_once(scene, words, why):
    played = scene.play(orders=replace(FREE, startup=0.3), words=words)
    assert played.code == 1
    assert played.transcript.failed
    assert played.transcript.failed.startswith("fake does not speak ACP")
    assert why in played.transcript.failed


def test_another_version_of_the_protocol_is_told(scene):
    assert scene.play([], version=2).transcript.failed == "fake speaks version 2 of ACP, and team-mail 1"


def test_an_agent_that_is_not_logged_in_says_how_in_one_line(scene):
    """By its preset, else by what it says itself: the names of its ways, and what each needs."""
    methods = [
        {"id": "web", "name": "Log in with Google"},
        {"id": "key", "name": "Key", "type": "env_var", "vars": [{"name": "A_KEY"}]},
    ]
    failed = scene.play([], methods=methods, login="web").transcript.failed
    assert failed == "fake is not logged in: its own ways are: Log in with Google; Key (set A_KEY)"
    failed = scene.play([], login="web", orders=replace(FREE, how="run `fake login`")).transcript.failed
    assert failed == "fake is not logged in: run `fake login`"


def test_a_key_that_is_there_is_used_to_log_in(scene, monkeypatch):
    monkeypatch.setenv("FAKE_KEY", "k")
    orders = replace(FREE, login={"other": "NO_KEY", "key": "FAKE_KEY"})
    played = scene.play([{"say": "Done."}], methods=[{"id": "key", "name": "Key"}], login="key", orders=orders)
    assert (played.code, played.asked("authenticate")) == (0, [{"methodId": "key"}])


MODES = {"currentModeId": "auto", "availableModes": [{"id": "auto", "name": "A"}, {"id": "ask", "name": "B"}]}
MODEL = {
    "id": "model", "name": "Model", "category": "model", "type": "select", "currentValue": "m1",
    "options": [{"value": "m1", "name": "One"}, {"value": "m2", "name": "Two"}],
}  # fmt: skip


def test_mode_and_model_are_asked_for_before_the_prompt(scene):
    orders = replace(FREE, mode="ask", model="m2")
    played = scene.play([{"say": "Done."}], modes=MODES, options=[MODEL], orders=orders)
    assert played.asked("session/set_mode") == [{"sessionId": "s1", "modeId": "ask"}]
    assert played.asked("session/set_config_option") == [{"sessionId": "s1", "configId": "model", "value": "m2"}]
    assert played.transcript.usage.model == "m2"


def test_a_model_that_is_not_there_fails_the_run_and_a_mode_is_told(scene):
    """Another model has another price; a mode only changes what is asked."""
    played = scene.play([], options=[MODEL], orders=replace(FREE, model="wrong"))
    assert played.transcript.failed == "fake does not take model wrong (no such model); it has m1, m2"
    played = scene.play([], orders=replace(FREE, model="wrong"))
    assert played.transcript.failed == "fake does not take model wrong (no such model)"
    played = scene.play([{"say": "Done."}], modes=MODES, orders=replace(FREE, mode="none"))
    assert (played.code, "fake has no mode none; it has auto, ask" in played.output) == (0, True)


@pytest.mark.parametrize("capabilities", [{"loadSession": True}, {"sessionCapabilities": {"resume": {}}}])
def test_a_run_goes_on_with_a_session_and_tells_only_what_is_new(scene, capabilities):
    """What is repeated of earlier runs, and what they cost, is not this run's."""
    played = scene.play([spent(5.5), {"say": "New."}], orders=replace(FREE, resume="old"),
                        capabilities=capabilities, sessions=["old"])  # fmt: skip
    assert played.asked("session/new") == []
    assert (played.code, played.transcript.text, played.transcript.usage.session) == (0, "New.", "old")
    assert played.transcript.usage.usd == 0.5
    assert "of an earlier run" not in played.output


@pytest.mark.parametrize(
    ("capabilities", "why"),
    [({"loadSession": True}, "session old cannot go on (Internal error; no such session); a new one begins"),
     ({}, "fake can go on with no session; a new one begins")],
)  # fmt: skip
def test_a_session_that_cannot_go_on_is_told_and_a_new_one_begins(scene, capabilities, why):
    played = scene.play([{"say": "New."}], orders=replace(FREE, resume="old"), capabilities=capabilities)
    assert (played.code, played.transcript.usage.session) == (0, "s1")
    assert why in played.output.splitlines()


def test_mail_that_comes_while_a_turn_lasts_is_a_further_prompt(scene):
    """What was there before the run is in its prompt already."""
    inbox = scene.workspace / ".team" / "run" / "inbox"
    (inbox / "1.md").write_text("old")
    came = {"write": str(inbox / "conflict-1.md"), "text": "new"}
    played = scene.play([came, {"say": "One."}], [{"say": "Two."}], [{"say": "Three."}])
    first, second = (each["prompt"][0]["text"] for each in played.asked("session/prompt"))
    assert first == "Do it."
    assert "`.team/run/inbox`: `conflict-1.md`" in second
    assert played.transcript.text == "Two."
    assert not [*inbox.glob("*.taken")]


def test_mail_that_a_turn_was_about_is_taken_into_account_once_that_has_ended_well(scene):
    """As the mail of a prompt is read with its run; a notice of a conflict is settled by the agent alone."""
    inbox = scene.workspace / ".team" / "run" / "inbox"
    came = {"write": str(inbox / "5.md"), "text": "new"}
    later = {"write": str(inbox / "conflict-2.md"), "text": "new"}
    scene.play([came, later, {"say": "One."}], [{"say": "Two."}])
    assert [each.name for each in inbox.glob("*.taken")] == ["5.taken"]


def test_refusals_without_end_end(scene):
    """An agent that tries the same again and again is told eight times."""
    played = scene.play(*[[edit("a.txt")]] * 20, orders=under(()))
    assert len(played.asked("session/prompt")) == 9


def test_mail_tools_are_given_to_the_session_with_the_identity_of_the_run(scene, monkeypatch):
    monkeypatch.setenv("TEAM_RUN", "run-1")
    monkeypatch.setenv("OTHER_SECRET", "s")
    played = scene.play([{"say": "Done."}], orders=replace(FREE, mail=("/bin/team", "mcp")))
    asked = played.asked("session/new")[0]
    (server,) = asked["mcpServers"]
    assert asked["_meta"]["mcpStartupAwaitTimeoutMs"] > 0  # else Codex begins without them
    assert (server["name"], server["command"], server["args"]) == ("team-mail", "/bin/team", ["mcp"])
    env = {each["name"]: each["value"] for each in server["env"]}
    assert (env["TEAM_RUN"], "OTHER_SECRET" in env) == ("run-1", False)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("gone", [{"leave": "sleep 60"}, {"shut": True}])
def test_an_agent_that_can_say_nothing_any_more_is_told_at_once(scene, gone):
    """It died, and what it started holds its output open; or it closed its output, and lives."""
    played = scene.play([{"say": "Half."}, gone])
    assert played.code == 1
    assert played.transcript.failed.startswith("in the middle of its turn it ")


@pytest.mark.parametrize(
    "raw",
    [
        '{"id": {}, "result": 1}',
        '{"id": null, "error": {"code": 1, "message": "m"}}',
        '{"id": "0", "result": {}}',
        '{"id": 7, "method": 5}',
        '{"id": [1], "method": "session/request_permission", "params": {}}',
        '{"id": "x", "method": "session/request_permission", "params": null}',
        '{"id": "y", "method": "fs/write_text_file", "params": {"sessionId": "s1", "path": "/a", "content": "c"}}',
        '{"id": "z", "method": "terminal/create", "params": {"sessionId": "s1", "command": "rm"}}',
        '{"id": "e", "method": "elicitation/create", "params": {"sessionId": "s1", "message": "?"}}',
        '{"id": "u", "method": "of/next_year", "params": []}',
        '{"method": "session/update", "params": {"sessionId": "other", "update": {"sessionUpdate": "tool_call"}}}',
        '{"method": "session/update", "params": 5}',
        '{"method": "session/update"}',
        '[{"id": "b", "method": "initialize"}]',
        "[" * 100_000,
        '{"method": "' + "x" * (8 << 20) + '"}',
    ],
    ids=lambda raw: raw[:60],
)
def test_no_message_of_an_agent_ends_its_session(scene, raw):
    """What is malformed, for another session, or nothing that was offered; and nothing is done by it."""
    played = scene.play([{"raw": raw}, {"say": "Done."}])
    assert (played.code, played.transcript.text) == (0, "Done."), played.output[-2000:]
    assert [*scene.workspace.iterdir()] == [scene.workspace / ".team"]
