"""The public door: what it names is there, is all there is, and costs nothing until it is asked for."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import team_mail
from team_mail import mail

ROOT = Path(team_mail.__file__).parent


def names_for_type_checkers(path):
    """The names that a stub, or the TYPE_CHECKING block of a module, imports."""
    tree = ast.parse(path.read_text())
    blocks = [tree] if path.suffix == ".pyi" else [node for node in tree.body if isinstance(node, ast.If)]
    return [alias.asname or alias.name for block in blocks for node in block.body for alias in node.names]


@pytest.mark.parametrize("name", team_mail.__all__)
def test_every_public_name_loads_from_where_it_lives(name):
    """A name of the public API is a real thing with a docstring."""
    assert getattr(team_mail, name).__doc__


def test_people_and_type_checkers_are_told_the_same_names():
    """`__all__`, `dir()` and the type checker's imports agree, and name each thing once."""
    assert dir(team_mail) == team_mail.__all__ == sorted(names_for_type_checkers(ROOT / "__init__.pyi"))
    assert len(team_mail.__all__) == len(set(team_mail.__all__)) <= 54
    assert sorted(mail.__all__) == sorted(names_for_type_checkers(ROOT / "mail" / "__init__.py"))


def test_every_error_can_be_caught_by_the_public_base():
    """Nobody has to import from a private place to catch what the API raises."""
    for room in ("mail", "personas", "scheduler"):
        module = importlib.import_module(f"team_mail.{room}.errors")
        tree = ast.parse((ROOT / room / "errors.py").read_text())
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                assert issubclass(getattr(module, node.name), team_mail.TeamMailError)


def test_a_name_that_is_not_public_is_refused_by_name():
    """A typing error is told as Python tells it."""
    with pytest.raises(AttributeError, match="no attribute 'EventLogg'"):
        _ = team_mail.EventLogg
    with pytest.raises(AttributeError, match="no attribute 'send_mesage'"):
        _ = mail.send_mesage


def test_importing_the_package_loads_no_subpackage():
    """`import team_mail` is free; only what is asked for is loaded."""
    seen = "import sys, team_mail; print([m for m in sys.modules if m.startswith('team_mail.')])"
    assert subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_functions_for_scripts_work_as_the_first_plan_wrote_them(tmp_path, monkeypatch):
    """`send_message`, `get_inbox` and `mark_read` need no object and no set-up."""
    monkeypatch.setenv("TEAM_HOME", str(tmp_path / ".team"))
    note = tmp_path / "note.txt"
    note.write_text("see me")
    sent = mail.send_message("boss", "curator", "Work", "Please start.", attachments=[str(note)])
    (message,) = mail.get_inbox("curator", unread_only=True)
    assert (message["id"], message["sender"], message["subject"], message["body"]) == (
        sent, "boss", "Work", "Please start.",
    )  # fmt: skip
    assert [item["name"] for item in message["attachments"]] == ["note.txt"]
    mail.mark_read("curator", sent)
    assert mail.get_inbox("curator", unread_only=True) == []
    assert mail.get_inbox("curator")[0]["read"]


def test_the_log_is_an_ibis_table_for_questions_of_ones_own(tmp_path, monkeypatch):
    """`mail.events()` answers an expression that no projection of ours has."""
    monkeypatch.setenv("TEAM_HOME", str(tmp_path / ".team"))
    mail.send_message("boss", "curator", "Work", "a")
    mail.send_message("boss", "scribe", "Work", "b")
    table = mail.events()
    assert table.filter(table.kind == "mail.sent").count().execute() == 2
