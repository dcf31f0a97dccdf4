"""The readers of a route: what each one is, which ones there are, and what is learned about them."""
