"""Model servers as child processes: the guard that ends them, and their owner's side."""
