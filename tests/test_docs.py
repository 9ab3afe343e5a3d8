"""The documents against the command: nothing undocumented, nothing documented that is not there."""

import re
from pathlib import Path

import pytest
from team_mail.mail import manual
from team_mail.mail.cli import command

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "mail.md").read_text()


def commands(node=None, names=()):
    """Every command with its full name."""
    for name, child in (node or command()).commands.items():
        if hasattr(child, "commands"):
            yield from commands(child, (*names, name))
        else:
            yield " ".join((*names, name)), child


COMMANDS = dict(commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_and_its_options_have_help_and_stand_in_the_guide(name):
    """Whoever meets a command or an option finds a sentence on it in the terminal and in docs/mail.md."""
    node = COMMANDS[name]
    assert node.help
    assert re.search(rf"[`, ]{name}\b", GUIDE), f"{name} is not in docs/mail.md"
    for param in node.params:
        assert param.help, f"{name} {param.name} has no help"
        if param.param_type_name == "option":
            for flag in param.opts:
                assert f"{flag}`" in GUIDE or f"{flag} " in GUIDE, f"{flag} of {name} is not in docs/mail.md"


def test_the_guide_names_no_option_that_is_not_there():
    """An option that was renamed or taken out does not live on in the documents."""
    real = {flag for node in (command(), *COMMANDS.values()) for param in node.params for flag in param.opts}
    for document in ("README.md", "docs/mail.md", "docs/log.md"):
        text = re.sub(r"^(git|make|pip).*$", "", (ROOT / document).read_text(), flags=re.MULTILINE)
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= real | {"--help"}, document


def test_the_manual_page_is_what_the_command_tells():
    """docs/team-mail.1 was written from the present tree of commands."""
    assert (ROOT / "docs" / "team-mail.1").read_text() == manual.page(), "run `make man`"


def test_links_between_the_documents_lead_somewhere():
    """Every relative link of a document names a file that is there."""
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"
