"""Runs that lose a process: the driver, a worker, the limiter, a renderer, a node. All need Ray."""
