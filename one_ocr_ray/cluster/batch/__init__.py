"""One run: its driver, its workers, its planner, and the checks of `doctor`."""
