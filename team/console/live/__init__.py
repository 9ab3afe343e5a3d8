"""What is live in the console: asks under way, runs and their output, each kept once for all who watch.

It knows no web server.
"""
