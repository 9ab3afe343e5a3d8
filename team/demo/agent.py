"""The agent of the demo: it plays every persona without a model, with real edits to the project.

It is called as `agent.py PERSONA ATTEMPT [SECONDS]`, with the prompt on standard input like any agent, and uses only
Python, git and `team-mail`. SECONDS is how long it pretends to think, on average over all personas. After mail about a
conflict, it goes back to the teammate's files, and makes a smaller edit beside theirs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_REQUEST = "A slug of signs only"
_MERGED = ".team/run/conflict/merged.patch"
_QUESTION = "Do our prices include the tax?"
# How long each thinks, 1 on average: runs of real agents differ as much, so they end one by one.
PACES = {
    "absolutist": 0.4, "artisan": 0.4, "builder": 0.5, "curator": 0.3, "deps": 0.3, "essentialist": 0.9,
    "evaluator": 0.5, "forge": 2.6, "lore": 0.4, "maya": 0.7, "meta": 0.5, "oracle": 0.5, "sapper": 0.3,
    "scribe": 1.3, "sentinel": 1.0, "shepherd": 1.6, "steward": 1.8, "streamliner": 4.4, "visionary": 0.6,
}  # fmt: skip
_AGAIN = 0.5  # of that, from the second attempt on: it is known by then what to do


@dataclass(frozen=True)
class Project:
    """The private clone that a run works in; `mails` has the types and subjects of its unread mail."""

    top: Path
    attempt: int = 1
    mails: tuple[tuple[str, str], ...] = ()

    @property
    def conflicted(self) -> bool:
        """Whether an earlier patch of this persona conflicted."""
        return any(kind == "conflict" for kind, _ in self.mails)

    def edit(self, file: str, pattern: str, replacement: str) -> None:
        """Replace every match in a file. Exits with 3 if there is none, because the edit was not made."""
        path = self.top / file
        text, count = re.subn(pattern, replacement, path.read_text())
        if not count:
            sys.exit(3)
        path.write_text(text)

    def add(self, file: str, text: str) -> None:
        """Write a new file."""
        path = self.top / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def absolutist(project: Project) -> None:
    """Annotate the cart; at first everything, beside a colleague only the signature."""
    project.edit("kiosk/cart.py", r"\n\nfrom dataclasses", "\n\nfrom collections.abc import Iterable\nfrom dataclasses")
    project.edit("kiosk/cart.py", r"def total\(lines, (.*)\):", r"def total(lines: Iterable[Line], \1) -> int:")
    project.edit("kiosk/cart.py", r"voucher=None", "voucher: Voucher | None = None")
    if not project.conflicted:
        project.edit("kiosk/cart.py", r"    amount = (\w+)\n", r"    amount: int = \1\n")
        project.edit("pyproject.toml", r">=3\.9", ">=3.10")


def artisan(project: Project) -> None:
    """Call a function what it does, in all the places that call it."""
    for file in ("kiosk/tax.py", "kiosk/invoice.py", "tests/test_tax.py", "docs/guide.md"):
        project.edit(file, r"\bcalc\b", "price_with_tax")


def builder(project: Project) -> None:
    """Give orders a shape."""
    project.add("kiosk/orders.py", _ORDERS)
    project.add("tests/test_orders.py", _TEST_ORDERS)


def curator(project: Project) -> None:
    """Put what a reader looks for first, first."""
    project.edit("README.md", r"(- `cart`.*)\n(- `invoice`.*)", r"## What is where\n\n\1\n\2")


def deps(project: Project) -> None:
    """Bring one pin up to date."""
    project.edit("requirements-dev.txt", r"coverage==7\.4\.0", "coverage==7.6.1")


def essentialist(project: Project) -> None:
    """Remove what nobody calls."""
    (project.top / "kiosk/legacy.py").unlink()
    project.edit("kiosk/text.py", r"\n\n\ndef shout\(text\):\n(    .*\n)+", "\n")


def evaluator(project: Project) -> None:
    """Review, and ask the one who can mend it."""
    body = 'kiosk/slug.py: what is slug("!!!") meant to be? No test says. Please hold it with one.'
    _mail("send", "--to", "shepherd", "--subject", _REQUEST, "--body", body, "--type", "review")
    del project


def forge(project: Project) -> None:
    """Let carts be shipped: a new argument, or beside a colleague a function of its own."""
    if project.conflicted:
        project.edit("kiosk/cart.py", r"\n\n\ndef count", f"{_SHIPPED}\n\n\ndef count")
        project.add("tests/test_shipping.py", _TEST_SHIPPING.format(name="shipped", words="lines, 150"))
        return
    project.edit("kiosk/cart.py", r"(def total\(.*)\)( -> int)?:", r"\1, shipping=0)\2:")
    project.edit("kiosk/cart.py", r"    amount(: int)? = 0\n", r"    amount\1 = shipping\n")
    project.add("tests/test_shipping.py", _TEST_SHIPPING.format(name="total", words="lines, shipping=150"))


def lore(project: Project) -> None:
    """Remember what happened."""
    _change(project, "The till of 2009 is only history now.")


def maya(project: Project) -> None:
    """Say what a person at the till should do."""
    project.edit("kiosk/cli.py", r'print\("error"\)', 'print("usage: kiosk total tea=300x2 pen=250")')


def meta(project: Project) -> None:
    """Write down how the team works, after falling over once."""
    if project.attempt == 1:
        sys.exit("meta: cannot reach the model (this crash is part of the demo)")
    project.add("docs/team.md", "# Team\n\nEveryone works in a clone of their own; the weaver puts it together.\n")


def oracle(project: Project) -> None:
    """Answer what is asked most; ask the human what only the human knows."""
    project.add("docs/faq.md", "# Questions\n\n**Why cents?** Because 0.1 + 0.2 is not 0.3.\n")
    _mail("send", "--to", "you", "--subject", _QUESTION, "--body", "The guide says no, the catalogue does not say.")


def sapper(project: Project) -> None:
    """Let a failure be one; the test that expected None is mended only when the gate has said so."""
    project.edit(
        "kiosk/stock.py", r'left\."""\n\n\n', 'left."""\n\n\nclass OutOfStock(Exception):\n    """Too few."""\n\n\n'
    )
    project.edit("kiosk/stock.py", r"return None", "raise OutOfStock(sku)")
    project.edit("kiosk/stock.py", r"left; None if there are too few", "left. Raises OutOfStock")
    if any(kind == "feedback" for kind, _ in project.mails):
        project.edit("tests/test_stock.py", r"import reserve", "import OutOfStock, reserve")
        project.edit("tests/test_stock.py", r"too_few_are_none", "too_few_are_an_error")
        project.edit(
            "tests/test_stock.py",
            r"self\.assertIsNone\((.*)\)\n",
            r"with self.assertRaises(OutOfStock):\n            \1\n",
        )


def scribe(project: Project) -> None:
    """Document the one function that has no words, whatever it is called by now."""
    words = '    """Return a net price in cents with the tax of its kind."""\n'
    project.edit("kiosk/tax.py", r"(def \w+\(net, kind\):\n)", rf"\1{words}")


def sentinel(project: Project) -> None:
    """Close the hole in the store."""
    project.edit("kiosk/store.py", r'disk\."""\n', 'disk."""\n\nimport json\n')
    project.edit("kiosk/store.py", r"eval\(file\.read\(\)\)", "json.load(file)")
    project.edit("kiosk/store.py", r"file\.write\(repr\(lines\)\)", "json.dump(lines, file)")


def shepherd(project: Project) -> None:
    """Test what has no test, and what a colleague asks to be tested."""
    asked = any(subject == _REQUEST for _, subject in project.mails)
    project.add("tests/test_slug.py", _TEST_SLUG + (_TEST_SIGNS if asked else ""))


def steward(project: Project) -> None:
    """Keep the record of changes."""
    _change(project, "Carts on disk are JSON.")


def streamliner(project: Project) -> None:
    """Make the loop a sum; at first everywhere, beside a colleague only where it counts."""
    loop = r"    amount(: int)? = (\w+)\n    for line in lines:\n        amount = amount \+ (.*)\n"
    project.edit("kiosk/cart.py", loop, r"    amount\1 = sum((\3 for line in lines), \2)\n")
    if not project.conflicted:
        project.edit("kiosk/cart.py", r"len\(\[.*\]\)", "sum(line.quantity for line in lines)")


def visionary(project: Project) -> None:
    """Think of what could be: at first without end."""
    if project.attempt == 1:
        time.sleep(3600)
    project.add("docs/ideas.md", "# Ideas\n\n- Carts that several people fill.\n- A shelf that orders for itself.\n")


def _change(project: Project, text: str) -> None:
    project.edit("CHANGELOG.md", r"(## Unreleased\n\n(- .*\n)+)", rf"\1- {text}\n")


SCRIPTS: dict[str, Callable[[Project], None]] = {
    script.__name__: script
    for script in (
        absolutist, artisan, builder, curator, deps, essentialist, evaluator, forge, lore, maya, meta, oracle, sapper,
        scribe, sentinel, shepherd, steward, streamliner, visionary,
    )
}  # fmt: skip

_ORDERS = '''\
"""Orders: a cart that somebody wants."""

from dataclasses import dataclass

from .cart import total


@dataclass(frozen=True)
class Order:
    """A cart with a name on it."""

    customer: str
    lines: tuple

    @property
    def due(self):
        """What is to be paid, in cents."""
        return total(self.lines)
'''
_TEST_ORDERS = """\
import unittest

from kiosk.cart import Line
from kiosk.orders import Order


class Orders(unittest.TestCase):
    def test_an_order_is_due_what_its_cart_costs(self):
        self.assertEqual(Order("Ada", (Line("tea", 300, 2),)).due, 600)
"""
_SHIPPED = '''


def shipped(lines, shipping, voucher=None):
    """Return what the lines cost in cents, brought to the door."""
    return total(lines, voucher) + shipping'''
_TEST_SHIPPING = """\
import unittest

from kiosk.cart import Line, {name}


class Shipping(unittest.TestCase):
    def test_the_way_to_the_door_is_paid(self):
        lines = [Line("tea", 300)]
        self.assertEqual({name}({words}), 450)
"""
_TEST_SLUG = """\
import unittest

from kiosk.slug import slug


class Slug(unittest.TestCase):
    def test_words_are_joined(self):
        self.assertEqual(slug("Green Tea, 100 g"), "green-tea-100-g")
"""
_TEST_SIGNS = """
    def test_signs_alone_are_nothing(self):
        self.assertEqual(slug("!!!"), "")
"""


def _mail(*words: str) -> str:
    """Run `team-mail`, which takes the persona from the environment."""
    places = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])  # noqa: PTH120
    command = shutil.which("team-mail", path=places) or "team-mail"
    ended = subprocess.run([command, *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)  # noqa: S603
    if ended.returncode:
        sys.exit(ended.stderr)
    return ended.stdout


def main(words: list[str]) -> None:
    """Play one run."""
    persona, attempt = words[0], int(words[1])
    prompt = sys.stdin.read()
    time.sleep(float(words[2]) * PACES[persona] * (_AGAIN if attempt > 1 else 1) if words[2:] else 0)
    mails: tuple[tuple[str, str], ...] = ()
    if attempt > 1 or _REQUEST in prompt:
        mails = tuple((mail["type"], mail["subject"]) for mail in json.loads(_mail("inbox", "--unread", "--json")))
    if os.path.exists(_MERGED):  # noqa: PTH110
        subprocess.run(["git", "apply", "-R", "--allow-empty", _MERGED], check=True)  # noqa: S603, S607
    for kind, subject in mails:
        print(f"{persona} reads ({kind}): {subject}")
    SCRIPTS[persona](Project(Path.cwd(), attempt, mails))
    print(f"{persona}: {(SCRIPTS[persona].__doc__ or '').strip()}")


if __name__ == "__main__":
    main(sys.argv[1:])
