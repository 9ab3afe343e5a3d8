"""The public face of the project: versions, links, workflow and prose agree with what is there."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
HOME = PROJECT["project"]["urls"]["Homepage"]
PROSE = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "tests" / "golden" / "README.md"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())


def test_the_changelog_begins_with_this_version():
    """What is installed is what the top section of the changelog describes."""
    top = re.search(r"^## \[([^]]+)\] - (Unreleased|\d{4}-\d\d-\d\d)$", CHANGELOG, re.MULTILINE)
    assert top
    assert top[1] == PROJECT["project"]["version"] == version("team-mail")


def test_the_changelog_has_the_form_of_keep_a_changelog():
    """Its sections are the six of that form, and each version has a link."""
    kinds = set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE))
    linked = re.findall(r"^\[([^]]+)\]: http", CHANGELOG, re.MULTILINE)
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert re.findall(r"^## \[([^]]+)\]", CHANGELOG, re.MULTILINE) == linked


def test_the_readme_is_one_page():
    """Nobody reads more than 900 words before a first try."""
    assert len((ROOT / "README.md").read_text().split()) <= 900


def test_the_links_of_the_readme_work_outside_of_the_repository():
    """On a package index there is no file beside the page, so every link is absolute."""
    links = re.findall(r"\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    assert links
    assert [link for link in links if not link.startswith("https://")] == []


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_absolute_links_into_the_repository_name_what_is_there(document):
    """A file that moves, or a heading that is renamed, does not leave a dead link on the package index."""
    text = (ROOT / document).read_text()
    links = re.findall(
        rf"\]\((?:{HOME}/(?:blob|tree)|https://raw\.githubusercontent\.com/[\w-]+/[\w-]+)/main/([^)]+)\)", text
    )
    assert links or document != "README.md"
    for link in links:
        file, _, heading = link.partition("#")
        assert (ROOT / file).exists(), link
        names = re.findall(r"^#+ (.*)$", (ROOT / file).read_text(), re.MULTILINE) if heading else []
        assert not heading or heading in {re.sub(r"[^\w -]", "", n).lower().replace(" ", "-") for n in names}, link


def test_the_workflow_runs_what_every_change_must_pass():
    """The same script as on a developer's machine, on every Python that the package names, and never fewer."""
    classifiers = PROJECT["project"]["classifiers"]
    named = {c.rpartition(" ")[2] for c in classifiers if re.search(r":: 3\.\d+$", c)}
    checks = WORKFLOW["jobs"]["checks"]
    assert set(checks["strategy"]["matrix"]["python"]) == named
    assert ".ci/run" in [step.get("run") for step in checks["steps"]]


def test_the_workflow_installs_the_wheel_with_its_dependencies():
    """A dependency that is missing from the metadata shows there, as nothing else is in that environment."""
    steps = "\n".join(step.get("run", "") for step in WORKFLOW["jobs"]["package"]["steps"])
    assert "python -m build" in steps
    assert re.search(r"pip install \S*dist/\*\.whl", steps)
    assert "team demo --quick" in steps


def test_the_hooks_are_tools_of_the_project():
    """A hook of another version would disagree with `make lint`."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repo["repo"] for repo in hooks] == ["local"]
    entries = [hook["entry"].split()[0] for hook in hooks[0]["hooks"]]
    lint = (ROOT / "Makefile").read_text()
    assert entries
    assert [entry for entry in entries if f"$(BIN)/{Path(entry).name}" not in lint] == []


def prose(path: Path) -> list[str]:
    """The lines of a document that are sentences: no code, no tables, no headings."""
    text = re.sub(r"^( *)```.*?^\1```$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    lines = [re.sub(r"`[^`]*`", "code", line) for line in text.splitlines()]
    return [line for line in lines if not line.lstrip().startswith(("|", "#", "!["))]


@pytest.mark.parametrize("path", PROSE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_line_of_prose_is_one_sentence(path):
    """A change to a sentence is a change to one line, so that a diff shows what was changed."""
    crowded = [line for line in prose(path) if re.search(r"[a-z)*][.!?]\*{0,2} [A-Z*]", line)]
    assert crowded == []


@pytest.mark.skipif(not (ROOT / "scheduler" / "sprint").is_dir(), reason="the packages that it names are being made")
def test_the_guide_to_the_code_names_what_is_there():
    """A stranger who looks a thing up in docs/architecture.md finds the file that it names."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`((?:mail|personas|scheduler|team)/[\w/]*(?:\.\w+)?)`", text))
    assert len(named) > 30
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
