"""One page, from its image to its row: the loop of requests, and its events."""
