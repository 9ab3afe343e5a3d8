"""One real run of an agent in a scratch repository, and what is seen of the steps that every run is made of."""
