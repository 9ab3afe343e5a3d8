"""The face and the composition root. Its rooms come with the sprint."""
