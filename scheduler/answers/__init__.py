"""What goes to a run and from it besides its work: mail while it goes on, the question it ends with, the answer."""
