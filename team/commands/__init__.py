"""The commands `team` and `scheduler`: each parses, calls one function and renders the value it returns."""
