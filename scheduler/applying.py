"""Each patch on its own base: in a scratch index, by git itself, which alone knows what a patch changes."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ..personas.errors import GitError
from ..personas.git import Git
from .patch import Applied, Change, Limits, Offer, changes_in
from .quarantine import Quarantine
from .refusal import refused, refused_unread, sensitive
from .woven import Held, Refused

_AT_ONCE = 4
# Where a shell knows no such limit, as on macOS for memory, the patch is read without it.
_LIMITED = 'ulimit -v "$1" 2>/dev/null; ulimit -t "$2" 2>/dev/null; shift 2; exec "$@"'


def apply_all(
    quarantine: Quarantine, offers: Sequence[Offer], limits: Limits
) -> tuple[list[Applied], list[Refused], list[Held]]:
    """Apply each offer to its own base: those that may be woven, those that may not, and those that wait."""
    bases = {base: _template(quarantine, base) for base in dict.fromkeys(offer.base for offer in offers)}

    def apply(number: int, offer: Offer) -> tuple[Offer, str, str | None]:
        if why := refused_unread(offer, limits) or bases[offer.base]:
            return offer, "", why
        return _apply(quarantine, number, offer, limits)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        done = list(pool.map(apply, range(len(offers)), offers))
    trees = [(offer, tree) for offer, tree, why in done if not why]
    applied = [Applied(*pair, changes) for pair, changes in zip(trees, _changes(quarantine.git, trees), strict=True)]
    whys = {offer.key: why for offer, _, why in done if why}
    whys |= {each.offer.key: why for each in applied if (why := refused(each.offer, each.changes))}
    whys = _too_large(quarantine.git, [each for each in applied if each.offer.key not in whys], limits) | whys
    taken = [each for each in applied if each.offer.key not in whys]
    waiting = {
        each.offer.key: files for each in taken if not each.offer.approved and (files := sensitive(each.changes))
    }
    return (
        [each for each in taken if each.offer.key not in waiting],
        [Refused(offer, whys[offer.key]) for offer in offers if offer.key in whys],
        [Held(each.offer, waiting[each.offer.key]) for each in taken if each.offer.key in waiting],
    )


def limited(limits: Limits, *, memory: bool = True) -> tuple[str, ...]:
    """Return the command that starts the one behind it with limits of memory and processor time."""
    space = str(limits.memory >> 10) if memory else "unlimited"
    return ("sh", "-c", _LIMITED, "sh", space, str(limits.seconds))


def _template(quarantine: Quarantine, base: str) -> str | None:
    """Make the index of a base, once for all its offers; the reason where it cannot be."""
    try:
        quarantine.index(f"base-{base}")("read-tree", "--end-of-options", base)
    except GitError as error:
        return f"its base {base[:12]} is not in this repository ({error})"
    return None


def _apply(quarantine: Quarantine, number: int, offer: Offer, limits: Limits) -> tuple[Offer, str, str | None]:
    """Apply one offer in a copy of its base's index; return its tree, or the reason why there is none."""
    shutil.copyfile(quarantine.folder / f"base-{offer.base}", quarantine.folder / f"own-{number}")
    git = quarantine.index(f"own-{number}")
    ended = git.run("apply", "--cached", "-", stdin=offer.patch, wrapper=limited(limits))
    if ended.returncode:
        return offer, "", f"it does not apply to its own base: {_words(ended.returncode, ended.stderr, limits)}"
    return offer, git.line("write-tree"), None


def _words(code: int, stderr: bytes, limits: Limits) -> str:
    """Say why git ended, in its own words where it had any."""
    if -code in {signal.SIGXCPU, signal.SIGKILL} or code - 128 == signal.SIGXCPU:
        return f"git took more than {limits.seconds} s of processor time over it"
    lines = [
        line.removeprefix("error: ").removeprefix("fatal: ") for line in stderr.decode(errors="replace").split("\n")
    ]
    return "; ".join([line for line in lines if line.strip()][:3]) or f"git apply ended with {code}"


def _changes(git: Git, trees: Sequence[tuple[Offer, str]]) -> list[tuple[Change, ...]]:
    """Ask git what each offer changes against its base: the patch's own claims count for nothing."""
    if not trees:
        return []
    own = dict.fromkeys(offer.base for offer, _ in trees)
    bases = dict(zip(own, git.line("rev-parse", *(f"{base}^{{tree}}" for base in own)).split(), strict=True))
    pairs = "".join(f"{bases[offer.base]} {tree}\n" for offer, tree in trees)
    raw = git("diff-tree", "--stdin", "-r", "--raw", "-z", "--no-renames", stdin=pairs.encode())
    return [tuple(changes) for changes in changes_in(raw)]


def _too_large(git: Git, applied: Sequence[Applied], limits: Limits) -> dict[str, str]:
    """Find the patches that unpack to more than they may: some thousand bytes can stand for gigabytes."""
    oids = {change.new.oid for each in applied for change in each.changes if change.new}
    asked = "\n".join(sorted(oids)).encode()
    sizes = dict(
        line.split()
        for line in git.line("cat-file", "--batch-check=%(objectname) %(objectsize)", stdin=asked).splitlines()
    )
    whys: dict[str, str] = {}
    for each in applied:
        size = sum(
            int(sizes[change.new.oid]) for change in each.changes if change.new and sizes[change.new.oid].isdigit()
        )
        if size > limits.unpacked:
            whys[each.offer.key] = (
                f"its files have {size:,} bytes, and the cap is {limits.unpacked:,}; send it in parts"
            )
    return whys
