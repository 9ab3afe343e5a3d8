"""Each patch on its own base: in a scratch index, by git itself, which alone knows what a patch changes."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ..personas.errors import GitError
from ..personas.git import Git
from .patch import Change, Limits, Offer, changes_in
from .quarantine import Quarantine
from .refusal import refused, refused_unread, sensitive
from .tree import Applied, Tree, read_tree
from .woven import Held, Refused

_AT_ONCE = 4
# Where a shell knows no such limit, as on macOS for memory, the patch is read without it.
_LIMITED = 'ulimit -v "$1" 2>/dev/null; ulimit -t "$2" 2>/dev/null; shift 2; exec "$@"'


def apply_all(
    quarantine: Quarantine, tip: Tree, offers: Sequence[Offer], limits: Limits
) -> tuple[list[Applied], list[Refused], list[Held]]:
    """Apply each offer to its own base: those that may be woven, those that may not, and those that wait."""
    bases = {base: _base(quarantine, base, tip) for base in dict.fromkeys(offer.base for offer in offers)}

    def apply(number: int, offer: Offer) -> Applied | Refused:
        base = bases[offer.base]
        if isinstance(base, str):
            return Refused(offer, base)
        found = refused_unread(offer, limits) or _apply(quarantine, f"own-{number}", offer, limits)
        if isinstance(found, str):
            return Refused(offer, found)
        why = refused(offer, found)
        return Refused(offer, why) if why else Applied(offer, base, found)

    with ThreadPoolExecutor(min(_AT_ONCE, os.cpu_count() or 1)) as pool:
        done = list(pool.map(apply, range(len(offers)), offers))
    done = [_small(quarantine.git, each, limits) if isinstance(each, Applied) else each for each in done]
    taken = [
        (each, () if each.offer.approved else sensitive(each.changes)) for each in done if isinstance(each, Applied)
    ]
    return (
        [each for each, files in taken if not files],
        [each for each in done if isinstance(each, Refused)],
        [Held(each.offer, files) for each, files in taken if files],
    )


def limited(limits: Limits, *, memory: bool = True) -> tuple[str, ...]:
    """Return the command that starts the one behind it with limits of memory and processor time."""
    space = str(limits.memory >> 10) if memory else "unlimited"
    return ("sh", "-c", _LIMITED, "sh", space, str(limits.seconds))


def _base(quarantine: Quarantine, base: str, tip: Tree) -> Tree | str:
    """Read a base, and make its index once for all its offers; the reason where it cannot be."""
    try:
        quarantine.index(f"base-{base}")("read-tree", "--end-of-options", base)
        return tip if tip.commit == base else read_tree(quarantine.git, base, quarantine.write)
    except GitError as error:
        return f"its base {base[:12]} is not in this repository ({error})"


def _apply(quarantine: Quarantine, name: str, offer: Offer, limits: Limits) -> tuple[Change, ...] | str:
    """Apply one offer in a copy of its base's index; what that changed, or the reason why it did not.

    Git is asked what changed: the patch's own claims count for nothing.
    """
    shutil.copyfile(quarantine.folder / f"base-{offer.base}", quarantine.folder / name)
    git = quarantine.index(name)
    ended = git.run("apply", "--cached", "-", stdin=offer.patch, wrapper=limited(limits), timeout=limits.seconds)
    if ended.returncode:
        return f"it does not apply to its own base: {_words(ended.returncode, ended.stderr, limits)}"
    raw = git("diff-index", "--cached", "-r", "--raw", "-z", "--no-renames", offer.base)
    (quarantine.folder / name).unlink()
    return tuple(changes_in(raw))


def _words(code: int, stderr: bytes, limits: Limits) -> str:
    """Say why git ended, in its own words where it had any."""
    if -code in {signal.SIGXCPU, signal.SIGKILL}:
        return f"git took more than {limits.seconds} s over it"
    lines = stderr.decode(errors="replace").splitlines()
    said = [line.removeprefix("error: ").removeprefix("fatal: ") for line in lines if line.strip()]
    return "; ".join(said[:3]) or f"git apply ended with {code}"


def _small(git: Git, each: Applied, limits: Limits) -> Applied | Refused:
    """Refuse a patch that unpacks to more than it may: some thousand bytes of one can stand for gigabytes."""
    if b"GIT binary patch" not in each.offer.patch:
        return each
    asked = "\n".join(change.new.oid for change in each.changes if change.new).encode()
    size = sum(map(int, git("cat-file", "--batch-check=%(objectsize)", stdin=asked).split()))
    if size <= limits.unpacked:
        return each
    return Refused(each.offer, f"its files have {size:,} bytes, and the cap is {limits.unpacked:,}; send it in parts")
