"""Turns page images into committed rows, without Ray: page loop, permits, budgets, journals."""
