"""Who works and how one is brought to life. Its rooms come with the sprint."""
