"""Import, export and import again is a fixed point, for files of every format and for personas of ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.personas.foreign.exporting import exported, written
from team_mail.personas.foreign.mapping import persona_of
from team_mail.personas.foreign.own import own_file
from team_mail.personas.foreign.reading import read_sheets
from team_mail.personas.foreign.sheet import Format, Sheet
from team_mail.personas.persona import Persona, parse_persona

from ...samples import examples

FILES = {
    Format.CLAUDE: "x.md", Format.CODEX: "x.toml", Format.COPILOT: "x.agent.md", Format.CREWAI: "agents.yaml",
    Format.EGREGORA: "x/prompt.md.j2", Format.GEMINI: "x.md", Format.OPENCODE: "x.md",
}  # fmt: skip
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cn", "Co")), max_size=30)
TEXTS = st.one_of(
    WORDS,
    st.sampled_from(["", "Use when: it breaks", "a # b", "'", '"', "[x", "{y", "- z", "no", "1e3", "2024-01-01",
                     "line\nline: two\n\n<example>user: hi</example>", "null", "~", "*", "&a", "!t", "|", ">",
                     "{{ x }}",
                     "{% if %}", "'''", '"""', "\\n", "a\\", " lead", "trail ", "…", "\u2028", "=", "<<"]),
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(TEXTS, st.booleans(), st.none(), st.integers(), st.floats(allow_nan=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS.filter(bool), inner, max_size=3)),
    max_leaves=6,
)
TOOLS = st.one_of(
    st.none(),
    st.lists(
        st.sampled_from(["Read", "Write", "Edit", "Bash", "Bash(git log:*)", "Bash(npm test)", "edit", "execute",
                         "read_file", "write_file", "run_shell_command", "mcp__x__y", "edit/editFiles", "search", "*"]),
        max_size=5,
    ),
    st.just("Read, Grep, Bash(git diff:*, x)"),
)  # fmt: skip
RULES = st.one_of(
    st.sampled_from(["allow", "deny", "ask"]),
    st.dictionaries(
        st.sampled_from(["*", "**", "git *", "git push *", "docs/**", "rm *"]), st.sampled_from(["allow", "deny"])
    ),
)
KEYS = st.fixed_dictionaries(
    {},
    optional={
        "description": TEXTS,
        "name": TEXTS, "model": st.one_of(TEXTS, st.lists(TEXTS, max_size=2)), "tools": TOOLS, "color": TEXTS,
        "disallowedTools": TOOLS, "permissionMode": st.sampled_from(["plan", "default", "acceptEdits"]),
        "sandbox_mode": st.sampled_from(["read-only", "workspace-write", "x"]), "timeout_mins": st.integers(-1, 100),
        "permission": st.one_of(RULES, st.fixed_dictionaries({}, optional={"edit": RULES, "bash": RULES, "*": RULES})),
        "mcpServers": VALUES, "temperature": st.floats(0, 1), "hooks": VALUES, "hired_by": TEXTS,
        "scheduled": st.booleans(), "role": TEXTS, "llm": TEXTS, "max_execution_time": st.integers(1, 9999),
    },
)  # fmt: skip
PROMPTS = st.lists(TEXTS, min_size=1, max_size=4).map("\n".join).filter(lambda text: text.strip("\n").strip())


def imported(text: str, form: Format) -> tuple[Sheet, str]:
    """Read a file of a tool, and return the file of ours that it becomes."""
    sheet = read_sheets(text, Path(FILES[form]), form=form, id=None if form == Format.CREWAI else "x")[0]
    return sheet, own_file(sheet, persona_of(sheet))


def there_and_back(own: str, form: Format) -> str:
    """Write a file of ours as one of a tool."""
    return written([exported(parse_persona(own, Path("x.md")), form).sheet])


@pytest.mark.parametrize("form", Format)
@settings(max_examples=examples(25))
@given(keys=KEYS, prompt=PROMPTS)
def test_import_export_import_is_a_fixed_point_of_files(form, keys, prompt):
    """Whatever a file says, nothing of it gets lost on the way here, there, and here again."""
    if form == Format.CREWAI:
        keys = {"role": "r", **keys, "goal": "g", "backstory": prompt}
    elif form == Format.EGREGORA:
        keys = {key: value for key, value in keys.items() if key not in {"role", "model", "name", "llm"}} | {"id": "x"}
    else:
        keys = {"name": "x"} | {key: value for key, value in keys.items() if key != "role"}
    first = written([Sheet(form, "x", keys, prompt)])
    sheet, own = imported(first, form)
    second = there_and_back(own, form)
    again, own_again = imported(second, form)
    assert own_again == own
    assert there_and_back(own_again, form) == second
    assert again.prompt == sheet.prompt
    kept = {key: value for key, value in again.keys.items() if key in sheet.keys}
    said = {"name", "description", "id"} | ({"scheduled"} if form == Format.EGREGORA else set())
    assert {key: kept.get(key) for key in sheet.keys if key not in said} == {
        key: value for key, value in sheet.keys.items() if key not in said
    }


PERSONAS = st.builds(
    Persona,
    st.just("x"),
    WORDS.map(lambda text: " ".join(text.split()) or "X"),
    PROMPTS.map(lambda text: text.strip("\n") + "\n"),
    description=TEXTS.map(lambda text: " ".join(text.split())),
    role=WORDS.map(lambda text: " ".join(text.split())),
    paths=st.sampled_from([None, (), ("docs/**",), ("**",), ("src/*.py", "tests/**")]),
    commands=st.sampled_from([None, (), ("git *", "npm test"), ("make * x",), ("*",)]),
    timeout=st.one_of(st.none(), st.floats(0.5, 90_000)),
    scheduled=st.booleans(),
    model=st.sampled_from(["", "sonnet", "gpt-5.2", "Big Model (copilot)"]),
    template=st.just(False),
    deliver=st.sampled_from(["", "next", "running"]),
)


@pytest.mark.parametrize("form", Format)
@settings(max_examples=examples(12))
@given(persona=PERSONAS)
def test_what_is_exported_is_imported_as_what_is_exported_again(form, persona):
    """A persona of ours loses only what the other format cannot say, and that once."""
    text = written([exported(persona, form).sheet])
    _, own = imported(text, form)
    assert there_and_back(own, form) == text
    assert imported(there_and_back(own, form), form)[1] == own


@pytest.mark.parametrize("form", Format)
@given(persona=PERSONAS)
@settings(max_examples=examples(12))
def test_an_export_never_allows_more_without_saying_so(form, persona):
    """What comes back allows at most what the persona did, or the loss was told."""
    made = exported(persona, form)
    back = persona_of(replace(made.sheet, source=None)).persona
    told = {text.partition(":")[0] for text in made.lost}
    for name in ("paths", "commands"):
        mine, its = (
            None if globs in {("*",), ("**",)} else globs for globs in (getattr(persona, name), getattr(back, name))
        )
        assert name in told or its == mine or (its is not None and (mine is None or {*its} <= {*mine})), name


def test_keys_that_say_the_same_stay_as_they_were_written():
    """What was imported goes back in its own words, as long as nobody changed what they mean."""
    text = (
        "---\nname: critic\ndescription: Reviews.\nmodel: opus\ntools: Read, Grep, Bash(git diff:*)\ncolor: red\n"
        "---\n\nRead {{ everything }}.\n"
    )
    _, own = imported(text.replace("critic", "x"), Format.CLAUDE)
    assert there_and_back(own, Format.CLAUDE) == text.replace("critic", "x")
    changed: Any = own.replace("paths: []\n", "").replace("paths:\n", "").replace("- git diff *", "- git log *")
    back = there_and_back(changed, Format.CLAUDE)
    assert "tools: Read, Grep, Glob, Edit, Write, Bash(git log:*)" in back
    assert "color: red" in back


@pytest.mark.parametrize("form", [Format.CLAUDE, Format.CODEX, Format.COPILOT, Format.GEMINI, Format.OPENCODE])
def test_a_file_without_a_description_gets_none_on_the_way(form):
    """An export has to write one, as its tool asks for it: the name, which an import takes for none."""
    first = written([Sheet(form, "x", {"name": "x"}, "Go.\n")])
    _, own = imported(first, form)
    assert "description" not in own
    assert imported(there_and_back(own, form), form)[1] == own


def test_the_last_text_of_a_front_matter_keeps_its_line_end():
    """As the same text does that stands before another key."""
    text = "x:\n  role: r\n  goal: g\n  backstory: |\n    Go.\n"
    _, own = imported(text, Format.CREWAI)
    assert there_and_back(own, Format.CREWAI) == text


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_long_backstory_is_kept_once(end):
    """In the prompt alone: twice, it would be longer than front matter may be."""
    keys = {"role": "r", "goal": "g", "backstory": "All of it. " * 2000 + end}
    first = written([Sheet(Format.CREWAI, "x", keys, "")])
    _, own = imported(first, Format.CREWAI)
    assert own.count("All of it.") == 2000
    second = there_and_back(own, Format.CREWAI)
    assert imported(second, Format.CREWAI)[1] == own
    assert there_and_back(own, Format.CREWAI) == second


@pytest.mark.parametrize("form", Format)
def test_a_long_prompt_comes_back_from_every_format(form):
    persona = Persona("x", "X", "Do this.\n" * 4000, description="d")
    text = written([exported(persona, form).sheet])
    _, own = imported(text, form)
    assert there_and_back(own, form) == text
