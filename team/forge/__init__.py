"""A small server with the documented behaviour of GitHub's REST API, to try `scheduler publish` and `take` against."""
