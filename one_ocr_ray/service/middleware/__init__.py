"""ASGI middlewares: each sees a request before the routes do, and knows none of them."""
