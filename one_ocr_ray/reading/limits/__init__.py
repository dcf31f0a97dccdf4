"""What holds a page back: an account's permits, a budget's share, an owner's turn."""
