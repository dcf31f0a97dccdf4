"""What holds a page back: permits of the account, shares of a budget, turns of owners."""
