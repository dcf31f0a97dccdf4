"""One page, from its image to its row: the loop of requests, and what it tells and takes up on the way."""
