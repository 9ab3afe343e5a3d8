"""`team demo`: small projects, scripted agents, sprints run twice, and rounds under a supervisor."""
