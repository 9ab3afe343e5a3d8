"""Persona files as people and other teams write them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from team_mail.personas.errors import PersonaError
from team_mail.personas.frontmatter import MAX_DEPTH
from team_mail.personas.persona import Persona, parse_persona

from ..samples import examples

FILE = Path("personas/curator.md")


def parsed(front: str, prompt: str = "Do it.\n", source: Path = FILE) -> Persona:
    return parse_persona(f"---\n{front}\n---\n{prompt}", source)


def test_every_key_of_a_persona_file_is_read():
    """Each key of the format has its own type; other keys are kept in `extra`."""
    persona = parsed(
        "id: curator\nname: The Curator\nemoji: 🎭\ndescription: Judges\n  what users see.\nrole: reviewer\n"
        "agent: claude\npaths: [docs/, '*.md']\ntimeout: 30m\nscheduled: yes\npriority: 7\nschedule: 0 9 * * 1\n"
        "hired_by: boss\nmodel: big\ncommands: [npm test, 'git  *']\n"
        "options: {temperature: 0.5, tools: [a, 1, true, null]}\nsince: 2026-01-01",
        "\n# Role\n",
    )
    assert persona == Persona(
        "curator", "The Curator", "# Role\n", "🎭", "Judges what users see.", "reviewer", "claude", ("docs/**", "*.md"),
        1800.0, scheduled=True, priority=7, source=FILE, line=21, model="big", commands=("npm test", "git *"), extra={
            "schedule": "0 9 * * 1", "hired_by": "boss", "since": "2026-01-01",
            "options": {"temperature": 0.5, "tools": ["a", 1, True, None]},
        },
    )  # fmt: skip


def test_an_empty_list_of_paths_allows_no_file():
    """A reviewer is given one on purpose; without the key every file is allowed."""
    assert parsed("paths: []").paths == ()
    assert parsed("name: x").paths is None


@pytest.mark.parametrize(
    ("text", "prompt", "line"),
    [
        ("Do it.", "Do it.\n", 1),
        ("\ufeff---\r\nname: C\r\n---\r\n\r\nDo it.\r\n", "Do it.\n", 5),
        ("---\n---\nDo it.\n\n\n", "Do it.\n", 3),
        ("---\n# nothing but a comment\n---   \nDo\n---\nit.", "Do\n---\nit.\n", 4),
        ("---\rname: C\r---\rDo it.\r", "Do it.\n", 4),
    ],
    ids=["no front matter", "Windows", "empty front matter", "a rule in the text", "old Macintosh"],
)
def test_files_with_any_line_endings_are_read(text, prompt, line):
    """Front matter may be missing or empty, and lines may end as on any system."""
    persona = parse_persona(text, FILE)
    assert (persona.id, persona.prompt, persona.line) == ("curator", prompt, line)
    assert persona.name in {"Curator", "C"}


def test_the_id_is_the_name_of_the_file_or_its_folder():
    """`team-mail` uses the same name as the address, so a different id would lose mail."""
    names = ("curator.md", "curator.md.j2", "curator/prompt.md", "curator/prompt.md.j2")
    assert {parse_persona("Do it.", Path(name)).id for name in names} == {"curator"}
    with pytest.raises(PersonaError, match=r"curator.md:2: id is 'kurator' but its mail goes to 'curator'"):
        parsed("id: kurator")


def test_a_persona_file_for_a_program_is_never_scheduled():
    """A file for the weaver describes it to the others, and must not launch a second one."""
    assert not parsed("scheduled: true", source=Path("weaver.md")).scheduled


@pytest.mark.parametrize("text", ["No", "yes", "1.0", "2026-01-01", "0o17", "1e3", "~x"])
def test_text_stays_as_it_was_written(text):
    """YAML's implicit types do not apply to names and descriptions."""
    assert parsed(f"name: {text}\ndescription: {text}").name == text


@pytest.mark.parametrize(
    ("front", "line", "says"),
    [
        ("name: a\nname: b", 3, "'name' is given twice"),
        ("x:\n  y: 1\n  y: 2", 4, "'y' is given twice"),
        ("name: a: b", 2, "not YAML: mapping values are not allowed here"),
        ("name: 'a", 2, "not YAML: "),
        ("- name", 2, "consist of lines `key: value`"),
        ("just text", 2, "consist of lines `key: value`"),
        ("name: [a]", 2, "name must be a single value"),
        ("? [a]\n: b", 2, "a key must be a single value"),
        ("a: &x 1\nb: *x", 2, "anchors and aliases"),
        ("a: " + "[" * 100_00, 2, f"nested more than {MAX_DEPTH} levels deep"),
        ("name: \x07", 2, "a character that YAML does not allow"),
        ('name: "\\e[31m"', 2, "a control character"),
        ('x: "\\ud800"', 2, "a control character"),
        ("x: !!python/object/apply:os.system [true]\ntimeout: soon", 3, "'soon' must be a span of time"),
        ("timeout: 0", 2, "must be a span of time"),
        ("timeout: 1:30", 2, "must be a span of time"),
        ("timeout: -5", 2, "must be a span of time"),
        ("timeout: .inf", 2, "must be a span of time"),
        ("scheduled: maybe", 2, "write true, false, or mail"),
        ("priority: high", 2, "a whole number"),
        ("deliver: soon", 2, "write running"),
        ("paths:", 2, "globs relative to the top of the repository"),
        ("paths:\n- docs/**\n- ../x", 4, "globs relative to the top of the repository"),
        ("paths: /etc/**", 2, "globs relative to the top of the repository"),
        ("paths: ':(top)x'", 2, "globs relative to the top of the repository"),
        ("path: docs/**", 2, "did you mean paths?"),
        ("x: " + "y" * 20_000, 1, "over 16 KiB"),
        ("name: ok\n...\nname: again", 4, "not YAML"),
    ],
)
def test_a_fault_is_reported_with_file_and_line(front, line, says):
    """One line says where the fault is, what it is, and what to write."""
    with pytest.raises(PersonaError) as refused:
        parsed(front)
    message = str(refused.value)
    assert message.startswith(f"personas/curator.md:{line}: ")
    assert says in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "1: the file is empty"),
        (" \n\n", "1: the file is empty"),
        ("---\nname: C\n---\n\n", "4: there is no prompt below the front matter"),
        ("---\nname: C\n", "1: the front matter is not closed"),
        ("one\ntwo \0", "2: '\\x00' is not text"),
        ("\ud800", "1: '\\ud800' is not text"),
    ],
)
def test_a_file_without_a_prompt_is_refused(text, says):
    """Nor is a file whose text could not be passed to an agent accepted."""
    with pytest.raises(PersonaError, match=re.escape(says)):
        parse_persona(text, FILE)


@pytest.mark.parametrize("name", ["all", "", "-x", "a b", "x" * 65, "a@team", "\x1b[31m", "\udcff"])
def test_an_id_that_is_not_a_mail_address_is_refused(name):
    """Invalid addresses are refused, and `all`, which means everybody."""
    with pytest.raises(PersonaError, match="is not a valid name for a persona") as refused:
        parse_persona("Do it.", Path(f"{name}.md"), name)
    assert "\x1b" not in str(refused.value)


def test_timeouts_are_read_in_every_unit():
    """A number without a unit is in seconds."""
    for text, length in (("90", 90), ("90s", 90), ("1.5m", 90), ("1h30m", 5400), ("1d", 86400)):
        assert parse_persona(f"---\ntimeout: {text}\n---\nDo it.", FILE).timeout == length


words = st.sampled_from(
    ["---", "\n", ": ", "- ", "name", "id", "paths", "timeout", "{", "}", "[", "]", "&a", "*a", "!!int", "'", '"', "|",
     ">", "?", "<<", "curator", "30m", "\t", "\r", "\x85", "\u2028", "\ufeff", "#", "0x1", "1:1", "~", "\\", "%", "@",
     "`", "..."]
)  # fmt: skip


@settings(max_examples=examples(60), deadline=None)
@given(st.one_of(st.text(max_size=200), st.lists(words, max_size=40).map("".join)), st.booleans())
@example("x: !!int abc\ny: !!timestamp 1\nz: !!binary 1\n<<: {a: 1}", True)
@example("x: !!float a\n? !!set {a}\n: 1", True)
@example("%YAML 9.9", True)
def test_any_text_is_a_persona_or_refused_in_one_line(text, wrapped):
    """No file can stop the team from starting: the only error is PersonaError, in one line with file and line."""
    try:
        persona = parse_persona(f"---\n{text}\n---\nDo it." if wrapped else text, FILE)
    except PersonaError as error:
        text = str(error)
    else:
        text = f"personas/{persona.id}.md:{persona.line}: {persona.prompt.strip().split()[0]}"
    assert re.fullmatch(r"personas/curator\.md:\d+: .+", text)
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("<!-- owner: docs -->\n---\nid: curator\npaths: [docs/**]\n---\nWrite.", 2),
        ("\n---\nmodel: small\npaths: [docs/**]\n---\nWrite.", 2),
        ("# Curator\n\n---\npaths: [docs/**]\n---\nWrite.", 3),
        ("You write.\n\n---\npaths: [docs/**]\n---\nAnd read.", 3),
        ("id: curator\npaths: [docs/**]\n---\nWrite.", 1),
        ("----\npaths: [docs/**]\n----\nWrite.", 1),
        (" ---\npaths: [docs/**]\n---\nWrite.", 1),
        ("\u200b---\npaths: [docs/**]\n---\nWrite.", 1),
        ('+++\npaths = ["docs/**"]\n+++\nWrite.', 1),
        ("```yaml\npaths: [docs/**]\n```\nWrite.", 1),
        ("```chatmode\n---\npaths: [docs/**]\n---\nWrite.\n```", 2),
    ],
)
def test_front_matter_that_would_not_be_read_is_refused(text, line):
    """Behind a comment or a heading, or begun with something else than `---`, its limits would silently not hold."""
    with pytest.raises(PersonaError, match=rf"curator\.md:{line}: this looks like front matter"):
        parse_persona(text, FILE)


@pytest.mark.parametrize(
    "text",
    [
        "Just text.",
        "# Title\n\nText\n\n---\n\nMore: text\n\n---\nThe end.",
        "role: you review.\n\nBe kind.\n---\nThat is all.",
        "An example:\n```yaml\n---\nid: x\npaths: [a]\n---\n```\n",
        "---\npriority: 1\n---\nWrite this:\n\n---\nname: x\n---\n",
    ],
)
def test_rules_and_examples_in_a_prompt_are_no_front_matter(text):
    """Markdown has lines of `---` of its own, and a prompt may show what such a file looks like."""
    assert parse_persona(text, FILE).paths is None


@pytest.mark.parametrize("key", ["Paths", "PATHS", "paht", "pahts", "pths", "pathes", "allowed_paths", "allowed-paths"])
def test_a_limit_with_a_typo_is_refused(key):
    """A persona whose `paths` are misspelt must not be free to change everything."""
    with pytest.raises(PersonaError, match=rf"curator\.md:2: {key} is not a key; did you mean paths?"):
        parse_persona(f"---\n{key}: docs/**\n---\nWrite.", FILE)
