"""The append-only log: events, their file on disk, its writer and readers, recovery, blobs."""
