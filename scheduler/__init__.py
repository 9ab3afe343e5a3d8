"""The engine: sprints, runs, the weaver, dispatches and plans. It prints nothing."""
