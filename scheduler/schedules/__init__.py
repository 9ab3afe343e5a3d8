"""What is to be done at set times: asks, dispatches and sprints by `[schedules.NAME]`, each time once, or said."""
