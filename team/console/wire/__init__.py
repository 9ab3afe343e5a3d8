"""What a stream is made of: names, words as they are shown, frames, and where these are kept for all who watch."""
