"""Task graphs: start each task when its last dependency has landed, and give results and traces."""
