"""What holds a page back until its turn: permits of the account, shares of a budget, fair turns of owners."""
