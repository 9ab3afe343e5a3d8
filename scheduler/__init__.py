"""What happens next: state, decide, tick, weave. Its rooms come with the sprint."""
