"""Names that one patch removes and another one uses: said where it is plain, and silent everywhere else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.scheduler.landing.mails import about_dangling
from team_mail.scheduler.meaning.names import definition, is_use, names_in
from team_mail.scheduler.meaning.notice import notices
from team_mail.scheduler.weaver.weave import weave

from ...samples import examples
from ..project import Project

CART = "def total_price(items):\n    return sum(items)\n\n\ndef empty():\n    return []\n"
FILES = {
    "shop/cart.py": CART,
    "shop/page.py": "from .cart import total_price\n\n\ndef show(items):\n    print(total_price(items))\n",
    "shop/bill.py": "def bill(items):\n    return items\n",
    "docs/cart.md": "Call total_price(items).\n",
}
RENAMED = {path: FILES[path].replace("total_price", "sum_of") for path in ("shop/cart.py", "shop/page.py")}
USED = {"shop/bill.py": "from .cart import total_price\n\n\ndef bill(items):\n    return total_price(items)\n"}


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "project", FILES)


def said(project, renamed=RENAMED, used=USED, tip=None):
    """Weave both patches; return what is said of names."""
    submissions = [project.submission("forge", renamed), project.submission("quill", used)]
    woven = weave(project.git, tip or project.base, submissions)
    assert len(woven.landed) == 2
    return notices(project.git, woven)


def test_a_use_of_a_name_that_another_patch_renamed_is_said(project):
    """With both authors, the new name, and every place; what the documentation says of it is not the program's."""
    (notice,) = said(project)

    assert (notice.name, notice.renamed, notice.defined_in) == ("total_price", "sum_of", "shop/cart.py")
    assert (notice.removed_by[0], notice.used_by[::2]) == ("forge", ("quill", "run-quill"))
    assert [(place.file, place.line) for place in notice.uses] == [("shop/bill.py", 1), ("shop/bill.py", 5)]
    subject, body, payload = about_dangling(notice)
    assert subject == "total_price, which quill uses, was removed by forge"
    assert "sum_of seems to have taken its place" in body
    assert "- shop/bill.py, line 5: return total_price(items)" in body
    assert payload["uses"] == [["shop/bill.py", 1], ["shop/bill.py", 5]]


def test_a_name_that_was_removed_since_the_base_is_said_whichever_landed_first(project):
    """The other patch may have landed in an earlier weave; between two that both did, it is too late."""
    removed = weave(project.git, project.base, [project.submission("forge", RENAMED)]).tip
    late = weave(project.git, removed, [project.submission("quill", USED)])
    used = weave(project.git, project.base, [project.submission("quill", USED)]).tip
    early = weave(project.git, used, [project.submission("forge", RENAMED)])
    third = weave(project.git, late.tip, [project.submission("lint", {"x.py": "print()\n"})])

    assert [notice.used_by[0] for notice in notices(project.git, late)] == ["quill"]
    assert [notice.removed_by[0] for notice in notices(project.git, early)] == ["forge"]
    assert notices(project.git, third) == ()


@pytest.mark.parametrize(
    ("renamed", "used"),
    [
        (RENAMED, {"shop/bill.py": "def bill(total_price):\n    return total_price(2)\n"}),
        (RENAMED, {"shop/bill.py": "total_price = 7\nprint(total_price)\n"}),
        (RENAMED, {"shop/bill.py": "def bill(items):  # was total_price(items)\n    return items\n"}),
        (RENAMED, {"shop/bill.py": 'def bill(items):\n    return "total_price(items)"\n'}),
        (RENAMED, {"docs/bill.md": "Call total_price(items) for it.\n"}),
        (RENAMED, {"shop/other.py": "def total_price(items):\n    return 0\n", **USED}),
        ({"shop/cart.py": RENAMED["shop/cart.py"]}, USED),  # somebody else's use is left: it may be another's name
        ({"shop/cart.py": CART.replace("empty", "total_cost")}, {"shop/bill.py": "empty = []\nprint(empty)\n"}),
        ({"shop/cart.py": None, "shop/basket.py": CART}, USED),  # moved to another file
        ({"shop/cart.py": CART + "\n\nx = 1\n"}, USED),
    ],
)
def test_where_it_is_not_plain_nothing_is_said(project, renamed, used):
    """A name of the patch's own, a comment, a text, prose, a second definition, a use that was left, a move."""
    assert said(project, renamed, used) == ()


def test_an_author_who_knew_of_the_removal_is_not_told(project):
    """A patch against the commit that removed the name means something by it."""
    tip = project.commit(RENAMED, project.base)
    woven = weave(project.git, tip, [project.submission("quill", USED, base=tip)])
    assert notices(project.git, woven) == ()


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("def total_price(items):", "total_price"), ("    async def total(self):", "total"),
        ("class Cart(Base):", "Cart"), ("pub fn price_of(x: &T) -> i32 {", "price_of"),
        ("func (c *Cart) Total() int {", "Total"), ("export default function render() {", "render"),
        ("export const LIMIT = 3", "LIMIT"), ("LIMIT: int = 3", "LIMIT"), ("#define LIMIT 3", "LIMIT"),
        ("static int parse_row(char *row)", "parse_row"), ("    const inner = 3", None), ("    limit = 3", None),
        ("return total(items)", None), ("from x import total", None), ("if total == 3:", None), ("total(items)", None),
        ("limit == 3", None),
    ],
)  # fmt: skip
def test_definitions_are_known_in_many_languages(line, name):
    """By how their lines begin; local values and calls are none."""
    assert definition(line) == name


@pytest.mark.parametrize(
    ("line", "name", "uses"),
    [
        ("print(total_price(items))", "total_price", True), ("from .cart import Cart, empty", "empty", True),
        ("basket = Cart(3)", "Cart", True), ("use crate::cart::Cart;", "Cart", True), ("x.total()", "total", True),
        ("class Basket(CartOf):", "CartOf", True),
        ("def f(total_price):", "total_price", False),
        ("The total of it", "total", False), ("total = 3", "total", False), ("f(total=3)", "total", False),
        ("for total_price in prices:", "total_price", False), ("import x as total_price", "total_price", False),
        ("x = 1  # total_price(x)", "total_price", False), ("print('total_price(x)')", "total_price", False),
        ("a" * 500 + " total_price(x)", "total_price", False),
    ],
)  # fmt: skip
def test_uses_are_known_by_what_stands_around_them(line, name, uses):
    """A word of prose, a value of its own, a comment, a text and a line that a program wrote are none."""
    assert is_use(line, name) is uses


def test_a_diff_of_anything_is_read_quickly(project):
    """One of many long and odd lines takes no longer than its length; binary files and minified ones are no code."""
    rows = ["const a=" + "a,b(" * 90, "int " + "x " * 190 + "(", "*&:<>, " * 57, "total_price(" * 30]
    diff = "diff --git a/x.js b/x.js\n--- a/x.js\n+++ b/x.js\n@@ -0,0 +1,2000 @@\n" + "\n".join(
        f"+{row}" for row in rows * 500
    )
    assert names_in(diff).uses({"total_price", "const"}).keys() <= {"total_price"}


@given(st.text(max_size=300))
@settings(max_examples=examples(50), deadline=None)
def test_no_text_is_too_odd_for_a_diff(text):
    """Whatever a patch holds, it is read."""
    names_in(f"diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n{text}")
    assert names_in(text).uses({"name"}).keys() <= {"name"}
