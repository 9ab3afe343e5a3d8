"""The documents against the commands: nothing undocumented, nothing documented that is not there."""

import re
from pathlib import Path

import pytest
from team_mail.mail.commands import cli as mail_cli
from team_mail.mail.commands import manual
from team_mail.team.commands import scheduler as scheduler_cli
from team_mail.team.commands import team as team_cli

ROOT = Path(__file__).parent.parent
OF_USE = (
    "tutorial", "mail", "log", "sprint", "runs", "settings", "agents", "costs", "personas", "dispatch", "claims",
    "personas-foreign",
    "sessions", "llm-api", "llm-api-actions",
    "llm-api-phone", "plan", "notify", "diagnostics", "security", "architecture", "glossary", "schedules", "jules",
    "repositories", "github", "mcp", "acp", "chat", "hooks", "cluster",
)  # fmt: skip
DOCUMENTS = ("README.md", *(f"docs/{name}.md" for name in OF_USE))
TREES = {"team-mail": mail_cli.command(), "scheduler": scheduler_cli.command(), "team": team_cli.command()}
GUIDES = {"team-mail": "docs/mail.md", "scheduler": "docs/sprint.md", "team": "docs/sprint.md"}
OWN_GUIDES = dict.fromkeys(("dispatch", "ask", "replay", "trace", "runs", "dispatches", "templates"), "dispatch") | {
    "plan": "plan"
}
OWN_GUIDES |= dict.fromkeys(("try", "doctor"), "agents") | {"schedules": "schedules", "session": "sessions"}
OWN_GUIDES |= dict.fromkeys(("task", "claim", "renew", "release", "done", "worker"), "claims")
OWN_GUIDES |= {"notify": "notify", "metrics": "diagnostics", "export": "diagnostics", "command": "llm-api"}
OWN_GUIDES |= {
    "mcp": "mcp",
    "hook": "hooks",
    "join": "hooks",
    "console": "console",
    "jules": "jules",
    "publish": "github",
    "take": "github",
}
OWN_GUIDES |= {"cluster": "cluster", "log": "cluster"}
OTHERS = (  # whose options are not ours
    r"\bgit [^`\n]*|^(make|pip|python -m) .*$"
    r"|`--(auto|allowedTools|ask|end|pull-request|say|no-stream|permission-mode|print-logs|trust|skip-trust)[^`]*`"
    r"|^command = \[.*$|`(llama-server|vllm serve) [^`]*`|ask each for its `--help`"
)


def commands(node, names):
    """Every command of a tree with its full name, the tree's own first."""
    yield " ".join(names), node
    for name, child in getattr(node, "commands", {}).items():
        yield from commands(child, (*names, name))


def guide_of(name):
    """The guide that a command stands in: that of its tree, or one of its own."""
    tree, *words = name.split(" ")
    own = OWN_GUIDES.get(words[0]) if tree != "team-mail" and words else None
    return f"docs/{own}.md" if own else GUIDES[tree]


COMMANDS = {name: node for tree, root in TREES.items() for name, node in commands(root, (tree,))}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_and_its_options_have_help_and_stand_in_the_guide(name):
    """Whoever meets a command or an option finds a sentence on it in the terminal and in the guide."""
    node, (tree, *words) = COMMANDS[name], name.split(" ")
    guide = (ROOT / guide_of(name)).read_text()
    spelled = rf"[`, ]{' '.join(words)}\b" if tree == "team-mail" else rf"`{name}\b"
    assert node.help
    assert re.search(spelled, guide), f"{name} is not in {guide_of(name)}"
    for param in node.params:
        assert param.help, f"{name} {param.name} has no help"
        if param.param_type_name == "option":
            for flag in param.opts:
                assert f"{flag}`" in guide or f"{flag} " in guide, f"{flag} of {name} is not in {guide_of(name)}"


@pytest.mark.parametrize("name", [name for name in COMMANDS if name.startswith(("scheduler ", "team "))])
def test_a_command_has_a_row_that_names_its_options(name):
    """The row of a command in the reference tells every option it has, so that none is taken for another's."""
    row = re.search(rf"^\| `{name}\b[^|]*`.*$", (ROOT / guide_of(name)).read_text(), re.MULTILINE)
    assert row, f"{name} has no row"
    flags = {flag for param in COMMANDS[name].params for flag in param.opts if flag.startswith("--")}
    assert flags - {"--help"} <= set(re.findall(r"--[a-z][a-z-]+", row[0]))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_documents_name_no_option_that_is_not_there(document):
    """An option that was renamed or taken out does not live on in the documents."""
    real = {flag for node in COMMANDS.values() for param in node.params for flag in param.opts}
    text = re.sub(OTHERS, "", (ROOT / document).read_text(), flags=re.MULTILINE)
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= real | {"--help"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_documents_name_no_command_that_is_not_there(document):
    """What a code span, or a line of a block, begins with as one of our commands is one."""
    text = (ROOT / document).read_text()
    blocks = "".join(re.findall(r"^ *```.*?^ *```$", text, re.DOTALL | re.MULTILINE))
    for tree, root in TREES.items():
        named = re.findall(rf"`{tree} ([a-z][a-z-]*)", text)
        named += re.findall(rf"^ *(?:\$ )?{tree} ([a-z][a-z-]*)", blocks, re.MULTILINE)
        assert set(named) <= {*root.commands}, tree


@pytest.mark.parametrize(
    "target", ["demo", "test", "lint", "bench", "storm", "agents", "browser", "sql", "man", "picture"]
)
def test_the_guide_for_contributors_names_what_can_be_made(target):
    """Each `make` of the guide is a target of the Makefile, and those that people need are there."""
    assert f"make {target}" in (ROOT / "CONTRIBUTING.md").read_text()
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_manual_page_is_what_the_command_tells():
    """docs/team-mail.1 was written from the present tree of commands."""
    assert (ROOT / "docs" / "team-mail.1").read_text() == manual.page(), "run `make man`"


def test_links_between_the_documents_lead_somewhere():
    """Every relative link of a document names a file that is there, and a heading that is in it."""
    for document in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        for target, place in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", document.read_text()):
            file = document.parent / target if target else document
            assert file.exists(), f"{document.name} links to {target}"
            assert not place or place in headings(file), f"{document.name} links to {target}#{place}"


def headings(file):
    """The names by which GitHub links to the headings of a document."""
    titles = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in titles}


def test_the_page_on_security_names_tests_that_there_are():
    """Each line of it is shown by one, so a test that is renamed or removed is missed here."""
    page = (ROOT / "docs" / "security.md").read_text()
    assert set(re.findall(r"`(test_\w+)`", page)) - known_tests() == set()
    rows = re.findall(r"^\| ([TA]\d+) .*\|$", page, re.MULTILINE)
    assert rows == [*(f"T{number}" for number in range(1, 18)), *(f"A{number}" for number in range(1, 10))]


def test_each_kind_of_repository_is_shown_by_a_test_that_there_is():
    """A row tells what happens in a kind of repository, and names the test that tries it."""
    page = (ROOT / "docs" / "repositories.md").read_text()
    rows = [row for row in re.findall(r"^\| (.*) \|$", page, re.MULTILINE) if not row.startswith("kind of ")]
    named = [set(re.findall(r"`(test_\w+)`", row)) for row in rows]
    assert all(named), rows
    assert set[str]().union(*named) - known_tests() == set()


def known_tests():
    """The names of all tests."""
    text = "".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    return set(re.findall(r"^def (test_\w+)", text, re.MULTILINE))
