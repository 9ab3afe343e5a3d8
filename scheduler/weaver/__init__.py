"""The weaver's loom: patches in, one line of commits out, in git's object store alone; no log, no branch, no mail."""
