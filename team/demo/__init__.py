"""`team demo`: a small project, a scripted agent, and a sprint run twice."""
