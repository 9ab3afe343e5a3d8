"""Weaving patches: patches in, a line of commits out, in git's object store alone; no log, no branch, no mail."""
