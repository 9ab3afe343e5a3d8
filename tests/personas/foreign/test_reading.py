"""Files of other tools as they are found in public: what of them becomes a persona, and what is told of the rest."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from team_mail.personas.foreign.mapping import Mapped, persona_of
from team_mail.personas.foreign.reading import read_sheets
from team_mail.personas.foreign.sheet import Format, NotAPersona
from team_mail.personas.frontmatter import Fault


def mapped(text: str, name: str = ".claude/agents/critic.md", **more: object) -> Mapped:
    """Read the one persona of a file."""
    return persona_of(read_sheets(text, Path(name))[0], **more)  # type: ignore[arg-type]


def front(keys: str, prompt: str = "Read {{ x }} and {% y %}.") -> str:
    return f"---\nname: critic\ndescription: Reviews.\n{keys}\n---\n\n{prompt}\n"


@pytest.mark.parametrize(
    ("name", "keys", "paths", "commands"),
    [
        (".claude/agents/a.md", "tools: Read, Grep, Glob", (), ()),
        (".claude/agents/a.md", "tools: [Read, Write, Bash]", None, None),
        (".claude/agents/a.md", "tools: Read, Bash(git log:*), Bash(npm test), Edit", None, ("git log *", "npm test")),
        (".claude/agents/a.md", "tools:\n  - Read\n  - Bash\ndisallowedTools: Write, Edit", (), None),
        (".claude/agents/a.md", "tools: '*'", None, None),
        (".claude/agents/a.md", "disallowedTools: Bash", None, ()),
        (".claude/agents/a.md", "permissionMode: plan", (), None),
        (".gemini/agents/a.md", 'tools:\n  - "read_file"\n  - "glob"', (), ()),
        (".gemini/agents/a.md", 'tools: ["*"]', None, None),
        (".gemini/agents/a.md", "tools: [write_file, run_shell_command(git)]", None, ("git",)),
        (".opencode/agents/a.md", 'tools:\n  "*": false\n  "github-pr-search": true', (), ()),
        (".opencode/agents/a.md", "permission:\n  edit: deny\n  bash: {'*': deny, 'git *': allow}", (), ("git *",)),
        (".opencode/agents/a.md", "permission:\n  bash: {'git *': allow, '*': deny}", None, ()),
        (".opencode/agents/a.md", "permission:\n  bash: {'*': deny, 'git *': allow, '*--force*': deny}", None, ()),
        (".opencode/agents/a.md", "permission:\n  edit: {'*': deny, 'docs/**': allow, '**/*.key': deny}", (), None),
        (".opencode/agents/a.md", "permission:\n  edit: {'*': deny, '/x/**': allow, 'a/*': allow}", ("a/*",), None),
        (".opencode/agents/a.md", "permission: {write: deny, process: deny}", (), None),
        (".opencode/agents/a.md", "permission: deny", (), ()),
        (".opencode/agents/a.md", "permission:\n  '*': deny\n  read: allow", (), ()),
        (".opencode/agents/a.md", "tools: {write: false}", None, None),
        (".opencode/agents/a.md", "tools: {}", None, None),
        (".claude/agents/a.md", "tools: {write: false, edit: false, read: true}", (), ()),
        (".claude/agents/a.md", "tools: {}", (), ()),
        (".claude/agents/a.md", "tools: []", (), ()),
        (".claude/agents/a.md", "tools:", None, None),
        (".claude/agents/a.md", "tools: Task(worker, researcher), Read, Bash", (), None),
        (".claude/agents/a.md", "disallowedTools: [Write, Edit, MultiEdit, NotebookEdit]", (), None),
        (".opencode/agents/a.md", "permission:\n  edit:\n    '*': deny\n    'docs/**': allow", ("docs/**",), None),
        (".opencode/agents/a.md", "permission:\n  bash: {'*': deny, 'git *': allow, 'git push *': deny}", None, ()),
        (".opencode/agents/a.md", "permission:\n  edit: ask", (), None),
        ("a.agent.md", "tools: ['search', 'fetch', 'usages']", (), ()),
        ("a.agent.md", "tools: [edit/editFiles, execute/runInTerminal]", None, None),
        ("a.chatmode.md", "tools: ['codebase', 'editFiles', 'runCommands']", None, None),
    ],
)  # fmt: skip
def test_tools_become_paths_and_commands(name, keys, paths, commands):
    """Whoever may not write changes nothing, and whoever has no shell runs nothing; each is told with its line."""
    read = mapped(front(keys), name)
    assert (read.persona.paths, read.persona.commands) == (paths, commands)
    assert (paths, commands) == (None, None) or any(note.line >= 4 for note in read.notes)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ("tools: {write: false}", "write is off, which leaves another tool that writes files"),
        ("permission:\n  bash: {'git *': allow, '*': deny}", "git * stands before the rule for all"),
        ("permission:\n  edit: {'*': deny, '/x/**': allow}", "/x/** is no path from the top"),
        ("permission:\n  edit: {'*.lock': deny}", "all but *.lock is allowed there"),
        ("permission: {write: deny, process: deny}", "process: set it in the agent's own settings"),
        ("description: {short: a}", "description: is no text"),
        ("fallback_models: [a/b]\nhidden: true", "fallback_models"),
    ],
)  # fmt: skip
def test_what_nothing_comes_of_is_told(keys, why):
    text = front(keys).replace("description: Reviews.\n", "") if "description" in keys else front(keys)
    assert why in " ".join(map(str, mapped(text, ".opencode/agents/a.md").lost))


def test_a_file_of_codex_is_read_with_the_lines_of_its_keys():
    """Read-only becomes `paths: []`, and what no run can be told is named."""
    read = mapped(
        'name = "critic"\ndescription = "Reviews."\nmodel = "gpt-5.2"\nmodel_reasoning_effort = "high"\n'
        'sandbox_mode = "read-only"\ndeveloper_instructions = """\nname = "no key"\nReview {{ it }}.\n"""\n\n'
        '[mcp_servers.docs]\ncommand = "docs"\n',
        "critic.toml",
    )
    assert read.persona.prompt == 'name = "no key"\nReview {{ it }}.\n'
    assert (read.persona.paths, read.persona.model, read.persona.template) == ((), "gpt-5.2", False)
    assert {(note.key, note.line) for note in read.lost} == {("model_reasoning_effort", 4), ("mcp_servers", 11)}


def test_a_file_of_crewai_has_several_personas():
    """Goal and backstory make the prompt, braces of CrewAI included."""
    text = (
        "# crew\nresearcher:\n  role: >\n    {topic} Researcher\n  goal: Find {topic}.\n  backstory: >\n    You find.\n"
        "  llm: openai/gpt-4o\n  max_execution_time: 90\n  verbose: true\n"
        "writer:\n  role: W\n  goal: g\n  backstory: b\n"
    )
    first, second = (persona_of(sheet) for sheet in read_sheets(text, Path("agents.yaml")))
    assert first.persona.prompt == "## Goal\n\nFind {topic}.\n\n## Backstory\n\nYou find.\n"
    assert (first.persona.id, first.persona.role, first.persona.model) == (
        "researcher", "{topic} Researcher", "openai/gpt-4o",
    )  # fmt: skip
    assert (first.persona.timeout, first.persona.description) == (90.0, "Find {topic}.")
    assert [(note.key, note.line) for note in first.lost] == [("verbose", 10)]
    assert second.persona.id == "writer"


def test_a_description_with_colons_and_dialogues_is_read_as_text():
    """No YAML, but found in half of the public files; the keys behind it count."""
    text = (
        "---\nname: critic\ndescription: Use this agent when: the user asks. Examples: <example>Context: a bug.\n"
        'user: "Why: this?"\nassistant: "I ask: critic"\n<example>\n'
        "model: haiku\ntools: Read,\tGrep\ncolor: red\n---\n\nGo.\n"
    )
    read = mapped(text)
    assert read.persona.description == "Use this agent when: the user asks."
    assert (read.persona.model, read.persona.paths) == ("haiku", ())
    assert any(note.key == "description" and note.line == 3 and "no YAML" in note.why for note in read.notes)
    assert [note.key for note in read.lost] == ["color"]


@pytest.mark.parametrize(
    "text",
    ["\ufeff---\r\nname: critic\r\ndescription: a: b\r\ntools: Read\r\n---\r\nGo.\r\n",
     "\n\n<!-- by me -->\n---\nname: critic\ndescription: a\ntools: Read\n---\nGo.\n",
     "````chatagent\n---\nname: critic\ndescription: a\ntools: Read\n---\nGo.\n````\n",
     "---\nname: critic\ndescription: a\ntools: Read\ntools: Read, Write\n---\nGo.\n",
     "---\nname: critic\ndescription: 'it's'\ntools:\n\t- Read\n---\nGo.\n"],
)  # fmt: skip
def test_odd_files_are_read_as_their_tools_read_them(text):
    assert (mapped(text).persona.prompt, mapped(text).persona.paths) == ("Go.\n", ())


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.md", "../../shared/agents/a.md", "1: is a symbolic link that was stored as text, to ../../shared"),
        ("a.md", front("mcpServers: &x [1]\nhooks: *x"), "4: anchors and aliases"),
        ("a.md", front("path: src"), "4: path is not a key; did you mean paths?"),
        ("a.md", "---\nname: a\ndescription: b\n", "1: the front matter is not closed"),
        ("a.md", front("color: red", ""), "there is no prompt"),
        ("a.md", front("timeout: soon"), "4: timeout"),
        ("a.agent.md", "", "1: the file is empty"),
        ("a.toml", 'name = "a"\ndescription = "b"\n', "1: there is no developer_instructions"),
        ("a.toml", "name = [\n", "2: not TOML"),
        ("a.toml", "x = " + "[" * 5000, "too deep"),
        ("a.toml", 'developer_instructions = "a\\u0007"', "1: has the control character"),
        ("agents.yaml", "a:\n  role: r\n  goal: g\n", "1: a has no backstory"),
        ("agents.yaml", "a:\n  role: &r x\n  goal: *r\n", "2: anchors"),
        ("agents.yaml", "a:\n  goal: g\n  backstory: b\n'b c': {}\n", "4: 'b c' must stand"),
        ("all.md", front(""), "1: 'all' is not a valid name"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_line(name, text, says):
    with pytest.raises(Fault) as caught:
        [persona_of(sheet) for sheet in read_sheets(text, Path(".claude/agents", name))]
    assert says in f"{caught.value.line}: {caught.value}"


@pytest.mark.parametrize(
    ("name", "text"),
    [("notes.md", "# Notes\n\nNothing.\n"), ("Cargo.toml", '[package]\nname = "x"\n'), ("ci.yaml", "on:\n  push: {}\n"),
     ("SKILL.md", front("")), ("x.md", front("allowed-tools: Read")), ("y.md", "---\ntitle: A page\n---\nText\n"),
     ("z.yaml", "- 1\n"), ("ci.yml", "name: CI\non: {push: {}}\njobs:\n  build: {runs-on: x}\n"),
     ("compose.yaml", "x-a: &a {b: 1}\nservices:\n  web: *a\n"), (".codex/agents/a.md", front("")),
     ("rule.md", "---\ndescription: d\nglobs: ['*.ts']\nalwaysApply: false\n---\nText\n")],
)  # fmt: skip
def test_what_no_tool_takes_for_an_agent_is_none(name, text):
    with pytest.raises(NotAPersona):
        read_sheets(text, Path(name))


def test_tools_that_leave_everything_are_told_as_mapped():
    """Each key of a file is told: what it was taken for, or that nothing comes of it."""
    for keys in ("tools: Read, Write, Bash", "tools: ['*']"):
        note = mapped(front(keys, "Go.")).notes[-1]
        assert (note.key, note.line, note.lost) == ("tools", 4, False)
        assert "paths and commands are any" in note.why


def test_settings_of_codex_in_its_file_are_known():
    """Any key of its settings may stand in the file of an agent; none of them is told as unknown."""
    text = 'name = "a"\ndescription = "b"\ndeveloper_instructions = "c"\n'
    lost = mapped(text + 'service_tier = "fast"\napproval_policy = "never"\nfeatures = {x = true}\n', "a.toml").lost
    assert [note.key for note in lost] == ["service_tier", "approval_policy", "features"]
    assert not any("nothing that this project knows" in note.why for note in lost)


def test_hostile_files_take_no_time():
    """What is deep, wide or endless is refused, or read, soon."""
    began = time.monotonic()
    for name, text in (
        ("a.toml", ".".join(["a"] * 60_000) + " = 1\ndeveloper_instructions = 'x'\n"),
        ("a.md", front("mcpServers: " + "[" * 9000)),
        ("a.md", front("tools: " + "Bash(" * 3000)),
        ("a.md", "---\ndescription: " + "<example>: " * 1400 + "\n---\nx"),
        ("agents.yaml", "".join(f"a{number}:\n  goal: g\n  backstory: b\n" for number in range(600))),
        ("a.md", "<!--" * 50_000),
    ):
        try:
            for sheet in read_sheets(text, Path(name)):
                persona_of(sheet)
        except (Fault, NotAPersona):
            continue
    assert time.monotonic() - began < 20


def test_the_format_is_told_by_folder_name_or_keys():
    """Only what nothing tells is taken for Claude's, whose form the others follow."""
    forms = [
        read_sheets(front(keys), Path(name))[0].format
        for name, keys in [
            ("x.md", "tools: Read"), ("x.md", "maxSteps: 3\nmode: subagent"), ("x.md", "max_turns: 3\ntimeout_mins: 3"),
            ("x.md", "handoffs: []"), (".gemini/agents/x.md", "color: red"), ("x.agent.md", ""), ("x.md", ""),
        ]
    ]  # fmt: skip
    assert forms == [
        Format.CLAUDE, Format.OPENCODE, Format.GEMINI, Format.COPILOT, Format.GEMINI, Format.COPILOT, Format.CLAUDE,
    ]  # fmt: skip


def test_models_and_timeouts_are_taken_over():
    """`inherit` is no model; a menu's name becomes that of the command; of several the first counts."""
    assert mapped(front("model: inherit")).persona.model == ""
    assert mapped(front("model: Claude Sonnet 4.5 (copilot)"), "a.agent.md").persona.model == "claude-sonnet-4.5"
    several = mapped(front("model: ['GPT-5', 'o3']"), "a.agent.md")
    assert several.persona.model == "gpt-5"
    assert "the first of several" in several.lost[0].why
    assert mapped(front("timeout_mins: 10\nmax_turns: 30"), ".gemini/agents/a.md").persona.timeout == 600


def test_an_agent_of_the_team_plays_what_is_written_for_it():
    """Without a table for it, the team's agent plays, which is noted."""
    assert mapped(front(""), agents={"claude": "opus"}).persona.agent == "opus"
    assert mapped(front(""), agents={"claude": ""}).persona.agent is None
    noted = mapped(front(""), agents={"codex": "codex"})
    assert noted.persona.agent is None
    assert "team.toml has no table" in noted.notes[0].why


def test_a_variable_of_ours_that_is_not_rendered_is_told():
    """Whoever relied on it is told; braces that mean something else are not worth a word."""
    assert [note.key for note in mapped(front("", "In {{ sprint }}.")).lost] == ["prompt"]
    assert mapped(front("", "In {{ github.event }}.")).lost == ()


def test_only_a_standing_duty_is_scheduled():
    """Others are called; a file says `scheduled: true`, and egregora's say nothing else."""
    assert not mapped(front("")).persona.scheduled
    assert mapped(front("scheduled: true")).persona.scheduled
    assert mapped("---\nid: x\nemoji: 🐑\n---\nWork on {{ id }}.", "personas/x/prompt.md.j2").persona.scheduled
    assert mapped("---\nid: x\n---\nWork.", "personas/x/prompt.md.j2").persona.template
    assert mapped(front("template: true")).persona.template
    assert mapped(front("")).persona.template is False
