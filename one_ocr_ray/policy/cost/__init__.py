"""What requests cost: tokens, prices, the ceiling, and sums of what was spent."""
