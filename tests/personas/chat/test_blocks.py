"""Blocks of models without tool calls: in all the dresses that models give them, and what becomes of them in a run."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.personas.chat.blocks import blocks
from team_mail.personas.chat.edits import changed, changed_lines
from team_mail.personas.chat.orders import ChatError
from team_mail.personas.chat.place import Refused

from ...chat_model import refuses, says
from ...samples import examples

CHANGE = "<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE"
EDIT = ("edit_lines", {"path": "src/a.py", "old": "old\n", "new": "new\n"})


def read(text: str) -> list[tuple[str, dict]]:
    return [(call.name, json.loads(call.arguments)) for call in blocks(text)]


@pytest.mark.parametrize(
    "text",
    [
        f"src/a.py\n{CHANGE}",
        f"I change it.\n\nsrc/a.py\n```python\n{CHANGE}\n```\nDone.",
        f"```python\nsrc/a.py\n{CHANGE}\n```",
        f"```python src/a.py\n{CHANGE}\n```",
        f"**src/a.py**\n\n```\n{CHANGE}\n```",
        f"### `src/a.py`:\n~~~\n{CHANGE}\n~~~",
        f"File: src/a.py\n{CHANGE}",
        CHANGE.replace("SEARCH", "SEARCH src/a.py"),
        f"src/a.py\n{CHANGE}".replace("<<<<<<<", "<<<<<").replace(">>>>>>>", ">>>>>"),
        f"src/a.py\n{CHANGE}".replace("\n", "\r\n"),
    ],
)
def test_a_change_in_any_dress(text):
    assert read(text) == [EDIT]


def test_several_changes_of_several_files_in_their_order():
    text = f"src/a.py\n```\n{CHANGE}\n\n{CHANGE}\n```\nand\nsrc/b.py\n{CHANGE}"
    assert [arguments["path"] for _, arguments in read(text)] == ["src/a.py", "src/a.py", "src/b.py"]


def test_a_new_file_and_a_deletion():
    new = "new.txt\n<<<<<<< SEARCH\n=======\n```\ntext\n```\n>>>>>>> REPLACE"
    assert read(new) == [("new_file", {"path": "new.txt", "content": "```\ntext\n```\n"})]
    gone = "a.txt\n<<<<<<< SEARCH\nold\n=======\n>>>>>>> REPLACE"
    assert read(gone) == [("edit_lines", {"path": "a.txt", "old": "old\n", "new": ""})]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a.py\n<<<<<<< SEARCH\nold\n=======\nnew\n", "the block of a.py has no ======= or no >>>>>>> REPLACE"),
        (f"I will now change it as follows here.\n{CHANGE}", "no path stands before a block"),
        ("```ask\nplease read all\n```", "'please read all' is nothing that can be asked for"),
    ],
)
def test_what_cannot_be_read_is_told(text, why):
    ((name, arguments),) = read(text)
    assert name == "block"
    assert why in arguments["why"]


def test_requests_and_mail():
    text = """\
```ask
list
list src
read `a.py`
search def +x
run npm test
inbox
mail 12
```
and
````mail
to: bob, amy
subject: The list

Text:
```
code
```
````
```mail
reply_to: 12

Yes.
```"""
    assert read(text) == [
        ("list_files", {"path": ""}), ("list_files", {"path": "src"}), ("read_file", {"path": "a.py"}),
        ("search", {"pattern": "def +x"}), ("run", {"command": "npm test"}), ("read_mail", {}),
        ("read_mail", {"number": 12}),
        ("send_mail", {"body": "Text:\n```\ncode\n```", "to": "bob, amy", "subject": "The list"}),
        ("send_mail", {"body": "Yes.", "reply_to": "12"}),
    ]  # fmt: skip


READS = '{"name": "read_file", "arguments": {"path": "a.py"}}'


@pytest.mark.parametrize(
    "text",
    [
        f"<tool_call>\n{READS}\n</tool_call>",
        f"I look.\n<tool_call>{READS}",
        f"```json\n{READS}\n```",
        READS.replace("arguments", "parameters"),
        READS.replace('{"path": "a.py"}', json.dumps('{"path": "a.py"}')),
        "<tool_call>\n<function=read_file>\n<parameter=path>\na.py\n</parameter>\n</function>\n</tool_call>",
        "I look.\n<function=read_file><parameter=path>a.py</parameter></function>",
    ],
)
def test_calls_that_a_model_writes_as_text_are_calls(text):
    """As servers print them that do not know how the model marks its calls."""
    assert read(text) == [("read_file", {"path": "a.py"})]


def test_several_calls_as_text_and_texts_of_several_lines():
    text = f"<tool_call>{READS}</tool_call>\n<tool_call>{READS}</tool_call>"
    assert read(text) == 2 * [("read_file", {"path": "a.py"})]
    writes = "<function=write_file>\n<parameter=path>\na.py\n</parameter>\n<parameter=content>\n  x\n\n</parameter>\n"
    assert read(f"{writes}</function>") == [("write_file", {"path": "a.py", "content": "  x\n"})]


@pytest.mark.parametrize("text", ["{no json}", '{"name": 7}', "[1]", '{"name": "x"'])
def test_a_call_as_text_that_cannot_be_read_is_told(text):
    """Else the run would end there, as if it was done."""
    ((name, arguments),) = read(f"<tool_call>{text}</tool_call>")
    assert (name, "no JSON object with name and arguments" in arguments["why"]) == ("block", True)


@pytest.mark.parametrize("text", ['{"result": 1}', '```json\n{"name": "x"}\n```', "{}", "{x}"])
def test_an_answer_that_is_other_json_is_no_call(text):
    assert read(text) == []


def test_words_about_blocks_are_none():
    assert read("Use `<<<<<<< SEARCH` lines.\n\n```python\nx = 1\n```\n1 < 2 ======= 3") == []


SIGNS = "<<<<<<< SEARCH|=======|>>>>>>> REPLACE|```|```ask|```mail|a.py|read a.py|to: bob||x"
LINES = st.lists(st.sampled_from(SIGNS.split("|")), max_size=14)


@given(LINES)
@settings(max_examples=examples(200))
def test_any_mixture_of_lines_is_read(lines):
    """Each call has arguments that a tool takes, and reading comes to an end."""
    assert all(isinstance(arguments, dict) for _, arguments in read("\n".join(lines)))


@given(
    st.lists(st.sampled_from("abc"), max_size=8), st.lists(st.sampled_from("abc"), min_size=1, max_size=3),
    st.lists(st.sampled_from("xy"), max_size=3), st.sampled_from(["\n", "\r\n"]), st.booleans(),
)  # fmt: skip
@settings(max_examples=examples(300))
def test_whole_lines_are_replaced_where_they_stand_once(rows, old, new, end, ended):
    """Whatever the line ends are, and whether the last line has one."""
    text = end.join(rows) + (end if ended and rows else "")
    places = [at for at in range(len(rows)) if rows[at : at + len(old)] == old]
    parts = ["".join(f"{row}\n" for row in part) for part in (old, new)]
    if len(places) != 1:
        with pytest.raises(Refused):
            changed_lines(text, *parts, "a.txt")
        return
    at = places[0]
    left = [*rows[:at], *new, *rows[at + len(old) :]]
    got = changed_lines(text, *parts, "a.txt")
    assert got.splitlines() == left
    assert end not in text or not {*"\r\n"} & {*got.replace(end, "")}


@pytest.mark.parametrize(
    ("text", "old", "new", "after"),
    [
        ("a\r\nb\r\n", "b", "x\r\ny", "a\r\nx\r\ny\r\n"),
        ("a\r\nb\r\n", "a\nb", "x\ny", "x\r\ny\r\n"),
        ("a\r\nb\r\n", "a\r\n", "x\r\n", "x\r\nb\r\n"),
        ("a\r\nb", "b\n", "x\n", "a\r\nx"),
        ("a\nb\n", "a\r\nb", "x\r\ny", "x\ny\n"),
        ("a\nb\n", "a", "x\r\ny", "x\ny\nb\n"),
        ("a\r\nb\nc\r\n", "b\nc", "x\ny\n", "a\r\nx\ny\n\r\n"),
        ("a\r\nb\nc\r\n", "a\nb\nc", "x\ny", "x\r\ny\r\n"),
    ],
)  # fmt: skip
def test_the_line_ends_of_an_edit_are_those_of_the_file(text, old, new, after):
    """Whichever the model sends, and whichever stand there: none is doubled, and none is in the way."""
    assert changed(text, old, new, "a.txt") == after


def test_only_the_ends_of_lines_part_the_lines_of_a_block():
    """Form feeds and the separators of Unicode are text, as in the file."""
    odd = "x\x0cy\u2028z\x85"
    ((name, arguments),) = read(f"a.txt\n<<<<<<< SEARCH\n{odd}\n=======\n{odd}!\n>>>>>>> REPLACE")
    assert (name, arguments["old"], arguments["new"]) == ("edit_lines", f"{odd}\n", f"{odd}!\n")
    assert changed_lines(f"a\n{odd}\n", arguments["old"], arguments["new"], "a.txt") == f"a\n{odd}!\n"


# -- in a conversation


def test_a_model_without_tools_works_in_blocks(talk):
    """It is told of the files, gets what it asks for, mends what did not fit, and ends by words alone."""
    wrong = "src/a.py\n<<<<<<< SEARCH\n  return 1\n=======\n    return 11\n>>>>>>> REPLACE"
    right = wrong.replace("\n  return 1\n", "\n    return 1\n")
    said = talk.hold(
        refuses(400, "registry.ollama.ai/library/gemma does not support tools"),
        says("```ask\nread src/a.py\n```"), says(f"<think>hm {wrong}</think>{wrong}"),
        says(f"{right}\n\nnew/b.txt\n<<<<<<< SEARCH\n=======\nb\n>>>>>>> REPLACE"), says("I changed it."),
    )  # fmt: skip
    assert said == "I changed it."
    assert "tools" not in talk.model.requests[1]
    assert "src/a.py" in talk.model.sent(1)[1]
    assert "read_file src/a.py:      1\tdef one" in talk.model.sent(2)[-1]
    assert "FAILED: that text does not stand in src/a.py. The nearest is from line 2" in talk.model.sent(3)[-1]
    assert "    return 11\n" in (talk.workspace / "src" / "a.py").read_text()
    assert (talk.workspace / "new" / "b.txt").read_text() == "b\n"
    assert [each.tool for each in talk.transcript.calls] == ["read_file", "edit_lines", "edit_lines", "new_file"]


def test_blocks_are_chosen_or_ruled_out_by_the_settings(talk):
    assert talk.hold(says("done"), tools="blocks") == "done"
    assert "tools" not in talk.model.requests[0]
    assert "run COMMAND" not in talk.model.sent()[0]
    talk.hold(says("done"), tools="blocks", commands=("make *", "npm test"))
    assert "Allowed are: make *, npm test" in talk.model.sent()[0]
    with pytest.raises(ChatError, match='set tools = "blocks"'):
        talk.hold(refuses(400, "this model does not support tools"), tools="calls")
    assert talk.hold(says(f"a.txt\n{CHANGE}"), tools="calls").startswith("a.txt")


def test_a_model_that_is_offered_tools_and_answers_in_blocks_is_understood(talk):
    talk.hold(says("notes.txt\n<<<<<<< SEARCH\nfirst\n=======\n1\n>>>>>>> REPLACE"), says("done"))
    assert (talk.workspace / "notes.txt").read_text() == "1\nlast without an end"


def test_a_file_that_is_there_is_not_made_anew(talk):
    talk.hold(says("notes.txt\n<<<<<<< SEARCH\n=======\nx\n>>>>>>> REPLACE"), says("done"), tools="blocks")
    assert "notes.txt is there already" in talk.model.sent()[-1]
