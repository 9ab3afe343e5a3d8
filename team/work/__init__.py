"""Work by claims: the worker that plays tasks, and the hook that guards commits."""
