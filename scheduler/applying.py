"""Each patch on its own base: in a scratch index, by git itself, which alone knows what a patch changes."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ..personas.errors import GitError
from ..personas.git import Git
from .patch import Limits, Offer, changes_in
from .quarantine import Quarantine
from .refusal import refused, refused_unread, sensitive
from .tree import Applied, Tree, read_tree
from .woven import Held, Refused

_AT_ONCE = 4
_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# Where a shell knows no such limit, as on macOS for memory, the patch is read without it.
_LIMIT = 'ulimit -v "$1" 2>/dev/null; ulimit -t "$2" 2>/dev/null; shift 2\n'
# A shell starts git in a third of the time that Python takes, so one shell applies many patches.
_APPLY = (
    _LIMIT
    + """
folder=$1 bases=$2; shift 2
for base in $bases; do
    own=$folder/${base%:*}
    export GIT_INDEX_FILE="$own.index"
    "$@" apply --cached "$own.patch" 2>"$own.said" &&
        "$@" diff-index --cached -r --raw -z --no-renames "${base#*:}" >"$own.raw"
    echo $? >"$own.code"
done
"""
)


def apply_all(
    quarantine: Quarantine, tip: Tree, offers: Sequence[Offer], limits: Limits
) -> tuple[list[Applied], list[Refused], list[Held]]:
    """Apply each offer to its own base: those that may be woven, those that may not, and those that wait."""
    bases = {base: _base(quarantine, base, tip) for base in dict.fromkeys(offer.base for offer in offers)}
    whys = [refused_unread(offer, limits) for offer in offers]
    fine = [n for n, offer in enumerate(offers) if not whys[n] and isinstance(bases[offer.base], Tree)]
    workers = min(_AT_ONCE, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        parts = [pool.submit(_apply, quarantine, offers, fine[part::workers], limits) for part in range(workers)]
    for part in parts:
        part.result()
    done = [
        _looked_at(quarantine, number, offer, whys[number] or bases[offer.base], limits)
        for number, offer in enumerate(offers)
    ]
    taken = [
        (each, () if each.offer.approved else sensitive(each.changes)) for each in done if isinstance(each, Applied)
    ]
    return (
        [each for each, files in taken if not files],
        [each for each in done if isinstance(each, Refused)],
        [Held(each.offer, files) for each, files in taken if files],
    )


def limited(limits: Limits) -> tuple[str, ...]:
    """Return the command that starts the one behind it with a limit of processor time.

    Memory has none here: merge drivers run too, and some map more than they use.
    """
    return ("sh", "-c", _LIMIT + 'exec "$@"', "sh", "unlimited", str(limits.seconds))


def _base(quarantine: Quarantine, base: str, tip: Tree) -> Tree | str:
    """Read a base, and make its index once for all its offers; the reason where it cannot be."""
    if not _ID.fullmatch(base):
        return f"its base {base!r} is not in this repository: it is no full id of a commit"
    try:
        quarantine.index(f"base-{base}")("read-tree", base)
        return tip if tip.commit == base else read_tree(quarantine.git, base, quarantine.write)
    except GitError as error:
        return f"its base {base[:12]} is not in this repository ({error})"


def _apply(quarantine: Quarantine, offers: Sequence[Offer], numbers: Sequence[int], limits: Limits) -> None:
    """Apply some of the offers, each in a copy of its base's index, and have git say what that changed.

    The patch's own claims count for nothing.
    """
    for number in numbers:
        shutil.copyfile(quarantine.folder / f"base-{offers[number].base}", quarantine.folder / f"{number}.index")
        (quarantine.folder / f"{number}.patch").write_bytes(offers[number].patch)
    bases = " ".join(f"{number}:{offers[number].base}" for number in numbers)
    given = (str(limits.memory >> 10), str(limits.seconds), str(quarantine.folder), bases)
    quarantine.git.run(wrapper=("sh", "-c", _APPLY, "sh", *given), timeout=limits.seconds * (len(numbers) + 1))


def _looked_at(
    quarantine: Quarantine, number: int, offer: Offer, base: Tree | str, limits: Limits
) -> Applied | Refused:
    """Read what became of an offer in its index."""
    if isinstance(base, str):
        return Refused(offer, base)
    own = quarantine.folder / str(number)
    code = own.with_suffix(".code")
    if not code.exists() or int(code.read_text()):
        why = _words(own.with_suffix(".said").read_bytes(), limits)
        return Refused(offer, f"it does not apply to its own base: {why}")
    changes = tuple(changes_in(own.with_suffix(".raw").read_bytes()))
    if why := refused(offer, changes):
        return Refused(offer, why)
    return _small(quarantine.git, Applied(offer, base, changes), limits)


def _words(said: bytes, limits: Limits) -> str:
    """Say why git would not, in its own words where it had any; it has none when a limit ended it."""
    lines = said.decode(errors="replace").splitlines()
    words = [line.removeprefix("error: ").removeprefix("fatal: ") for line in lines if line.strip()]
    return "; ".join(words[:3]) or f"git took more than {limits.seconds} s over it"


def _small(git: Git, each: Applied, limits: Limits) -> Applied | Refused:
    """Refuse a patch that unpacks to more than it may: some thousand bytes of one can stand for gigabytes."""
    if b"GIT binary patch" not in each.offer.patch:
        return each
    asked = "\n".join(change.new.oid for change in each.changes if change.new).encode()
    size = sum(map(int, git("cat-file", "--batch-check=%(objectsize)", stdin=asked).split()))
    if size <= limits.unpacked:
        return each
    return Refused(each.offer, f"its files have {size:,} bytes, and the cap is {limits.unpacked:,}; send it in parts")
