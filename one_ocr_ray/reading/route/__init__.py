"""The readers of a route, how they are made, and what is learned about them."""
