"""Persona files as people and other teams write them, the roster, and the bundled library."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from team_mail.mail.errors import TeamMailError
from team_mail.mail.home import read_directory
from team_mail.mail.letter import TYPES
from team_mail.personas.bundled import copy_into, library
from team_mail.personas.errors import PersonaError
from team_mail.personas.frontmatter import MAX_DEPTH
from team_mail.personas.persona import MAX_FILE, Persona, parse_persona
from team_mail.personas.prompt import Situation, write_prompt
from team_mail.personas.roster import Roster, read_roster

FILE = Path("personas/curator.md")
TEAM = {
    "absolutist", "artisan", "builder", "curator", "deps", "essentialist", "evaluator", "forge", "lore", "maya", "meta",
    "oracle", "sapper", "scribe", "sentinel", "shepherd", "steward", "streamliner", "visionary", "weaver", "you",
}  # fmt: skip


def parsed(front: str, prompt: str = "Do it.\n", source: Path = FILE) -> Persona:
    return parse_persona(f"---\n{front}\n---\n{prompt}", source)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / ".team" / "personas"
    made.mkdir(parents=True)
    return made


# -- one file


def test_every_key_of_a_persona_file_is_read():
    """Each key of the format has its own type; other keys are kept in `extra`."""
    persona = parsed(
        "id: curator\nname: The Curator\nemoji: 🎭\ndescription: Judges\n  what users see.\nrole: reviewer\n"
        "agent: claude\npaths: [docs/, '*.md']\ntimeout: 30m\nscheduled: yes\npriority: 7\nschedule: 0 9 * * 1\n"
        "hired_by: boss\nmodel: {name: big, temperature: 0.5, tools: [a, 1, true, null]}\nsince: 2026-01-01",
        "\n# Role\n",
    )
    assert persona == Persona(
        "curator", "The Curator", "# Role\n", "🎭", "Judges what users see.", "reviewer", "claude", ("docs/**", "*.md"),
        1800.0, scheduled=True, priority=7, source=FILE, line=19, extra={
            "schedule": "0 9 * * 1", "hired_by": "boss", "since": "2026-01-01",
            "model": {"name": "big", "temperature": 0.5, "tools": ["a", 1, True, None]},
        },
    )  # fmt: skip


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
        ("scheduled: maybe", 2, "write true or false"),
        ("priority: high", 2, "a whole number"),
        ("paths: []", 2, "paths is an empty list"),
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


@settings(max_examples=200, deadline=None)
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


# -- the roster


def test_the_roster_has_every_persona_in_the_folder(folder):
    """All four forms of file count, higher priority comes first, and mail has the same addresses."""
    (folder / "scribe.md").write_text("Write.")
    (folder / "forge.md.j2").write_text("---\npriority: 5\n---\nBuild.")
    for name, file in (("lore", "prompt.md"), ("maya", "prompt.md.j2")):
        (folder / name).mkdir()
        (folder / name / file).write_text("---\nscheduled: false\n---\nTell.")
    for name in ("_draft.md", ".hidden.md", "notes.txt"):
        (folder / name).write_text("Not one.")
    (folder / "_templates").mkdir()
    roster = read_roster(folder)
    assert [persona.id for persona in roster.personas] == ["forge", "lore", "maya", "scribe"]
    assert [persona.id for persona in roster.scheduled] == ["forge", "scribe"]
    assert roster.problems == ()
    assert roster.get("scribe") is roster.personas[3]
    assert roster.get("nobody") is None
    assert read_directory(folder.parent).personas == {persona.id for persona in roster.personas}


def test_a_file_that_is_not_a_persona_is_reported_and_left_out(folder):
    """A bad file costs one persona, and its message says which and why."""
    (folder / "good.md").write_text("Work.")
    (folder / "empty.md").write_text("")
    (folder / "latin.md").write_bytes(b"one\nCaf\xe9\n")
    (folder / "huge.md").write_bytes(b"x" * (MAX_FILE + 1))
    (folder / "bare").mkdir()
    (folder / "README.md").write_text("# How to")
    (folder / "twice.md").write_text("One.")
    (folder / "twice").mkdir()
    (folder / "twice" / "prompt.md").write_text("Two.")
    (folder / "link.md").symlink_to("nowhere")
    (folder / "all.md").write_text("Everybody.")
    os.mkfifo(folder / "pipe.md")
    roster = read_roster(folder)
    assert [persona.id for persona in roster.personas] == ["good"]
    problems = dict(
        zip(("README", "all", "bare", "empty", "huge", "latin", "link", "pipe", "twice"), roster.problems, strict=True)
    )
    for name, says in {
        "README": "rename it to _README.md", "all": "is not a valid name", "bare": "no such file",
        "empty": "the file is empty",
        "huge": "over 256 KiB", "latin": ":2: not UTF-8", "link": "no such file", "pipe": "no such file",
        "twice": "has more than one file: twice/prompt.md and twice.md; keep one",
    }.items():  # fmt: skip
        assert says in problems[name]
        assert f"{folder}" in problems[name]
        assert len(problems[name].splitlines()) == 1


def test_a_missing_folder_is_an_empty_roster(folder):
    """A file in place of the folder is a problem, a missing folder is not."""
    assert read_roster(folder / "none") == Roster()
    (folder / "file").write_text("")
    assert "cannot be read" in read_roster(folder / "file").problems[0]


# -- the library


def test_every_persona_of_the_library_is_valid(folder):
    """All have the ROSAV form and every field, and name only teammates that exist."""
    copy_into(folder)
    roster = read_roster(folder)
    assert roster.problems == ()
    assert {persona.id for persona in roster.personas} == TEAM
    assert {persona.id for persona in roster.personas if not persona.scheduled} == {"weaver", "you"}
    team = tuple((persona.id, persona.description) for persona in roster.personas)
    situation = Situation(1, 1, "run-1", "0" * 40, "team/sprint-1", "boss", team, "demo")
    for persona in roster.personas:
        assert persona.description
        assert persona.emoji
        assert persona.role
        assert 30 <= len(persona.prompt.splitlines()) <= 60
        assert re.findall(r"(?m)^## (\w+)", persona.prompt) == ["Role", "Objective", "Situation", "Act", "Verify"]
        named = set(re.findall(r"`([a-z]+)`", persona.prompt)) - {*TYPES, "paths", "except"}
        assert named <= TEAM - {persona.id}, f"{persona.id} writes to nobody or to itself"
        written = write_prompt(persona, [], situation)
        assert written.count("Sprint 1, your attempt 1") == 1
        assert "{{" not in written


def test_the_library_never_overwrites(folder):
    """A persona that the team has already, in any form, is left alone."""
    (folder / "curator.md").write_text("Mine.")
    (folder / "forge").mkdir()
    (folder / "forge" / "prompt.md").write_text("Mine.")
    written = {path.name for path in copy_into(folder)}
    assert written == {f"{name}.md" for name in TEAM - {"curator", "forge"}}
    assert (folder / "curator.md").read_text() == "Mine."
    assert copy_into(folder) == []
    assert len(library()) == len(TEAM)


def test_copying_the_library_reports_where_it_cannot_write(tmp_path):
    """A file in the way is reported in one line."""
    (tmp_path / "file").write_text("")
    with pytest.raises(TeamMailError, match=r"cannot write personas into .*file"):
        copy_into(tmp_path / "file")
