"""What an output has cost, from its rows and from the records beside them."""
