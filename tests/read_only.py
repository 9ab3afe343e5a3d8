"""A `.git` that nobody can write, root included: a mount that only one process and its children see."""

import shutil
import subprocess

import pytest

UNSHARED = ("unshare", "--user", "--map-root-user", "--mount")
# The beginning of a shell script that is started by UNSHARED in a repository.
GUARD = "mount --bind .git .git && mount -o remount,ro,bind .git && ! touch .git/written 2> /dev/null || exit 99\n"


def _possible() -> bool:
    if not shutil.which(UNSHARED[0]):
        return False
    words = [*UNSHARED, "mount", "--bind", "/tmp", "/tmp"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


MOUNTS = pytest.mark.skipif(not _possible(), reason="this machine gives a user no mounts of its own")
