"""Sessions: names under which mail, dispatches, sprints, claims and files are gathered."""
