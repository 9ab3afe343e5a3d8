"""Notices: what happens in a team is told to people and programs outside of it, at least once each.

`outbox` decides what is due, a pure fold over the log; `channel` sends it; `endpoint` puts on record what came of it.
"""
