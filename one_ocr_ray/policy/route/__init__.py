"""Which reader reads a page: the order of readers (chain), and what judges them (gates). Pure decisions."""
