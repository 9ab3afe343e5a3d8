"""Pictures of sprints and plans, as Vega-Lite specs."""
