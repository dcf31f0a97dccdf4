"""Model servers as child processes: the guard that none of them outlives, and the one who starts and watches it."""
