"""Which reader reads a page: the order of a route (chain), and the judges of its readers (gates). Pure decisions."""
