"""A patch as its files and lines, against the patch that git prints."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from team_mail.team.console.pages.diff import files_of

LINE = st.text(st.characters(blacklist_characters="\n\r", blacklist_categories=["Cs"]), max_size=12)
NAME = st.from_regex(r"[a-z]{1,6}(/[a-z]{1,6})?\.txt", fullmatch=True)


@given(st.lists(st.tuples(NAME, st.lists(LINE, max_size=4), st.lists(LINE, max_size=4)), max_size=4))
def test_every_added_and_removed_line_is_counted(files):
    """Whatever the lines look like, `+++`, `@@` or the head of a file among them."""
    patch = ""
    for name, old, new in files:
        patch += f"diff --git a/{name} b/{name}\nindex 123..456 100644\n--- a/{name}\n+++ b/{name}\n"
        patch += f"@@ -1,{len(old)} +1,{len(new)} @@\n"
        patch += "".join(f"-{each}\n" for each in old) + "".join(f"+{each}\n" for each in new)

    assert [(file.name, file.removed, file.added) for file in files_of(patch)] == [
        (name, len(old), len(new)) for name, old, new in files
    ]


def test_a_new_file_a_binary_one_and_one_without_a_newline():
    """What git says about a file is no change of a line."""
    patch = (
        "diff --git a/new.txt b/new.txt\nnew file mode 100644\nindex 000..111\n--- /dev/null\n+++ b/new.txt\n"
        "@@ -0,0 +1 @@\n+one\n\\ No newline at end of file\n"
        "diff --git a/a.bin b/a.bin\nindex 1..2 100644\nGIT binary patch\nliteral 3\nabc\n"
    )
    new, binary = files_of(patch)

    assert [line.kind for line in new.lines] == ["meta", "meta", "meta", "at", "add", "meta"]
    assert {line.kind for line in binary.lines} == {"meta"}
    assert files_of("no patch\n") == []
