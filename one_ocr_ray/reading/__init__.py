"""From page images to committed rows, without Ray: the page loop, permits, budgets, journals, the early end."""
