"""The supervisor: asks for reports on what has landed, decides whether that may be deployed, and begins rounds."""
