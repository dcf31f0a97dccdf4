"""Runs that lose a process: the driver, a worker, the limiter, a renderer. All need Ray. `test_nodes` loses a node."""
