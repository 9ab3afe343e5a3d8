"""The planner: work thought through before it runs. Roadmaps, overlaps, schedules; nothing is carried out here."""
