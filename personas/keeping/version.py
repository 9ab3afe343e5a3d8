"""The version of what keeper and scheduler write for each other: `ended.json`, the heartbeat, `launch.json`."""

VERSION = 1
