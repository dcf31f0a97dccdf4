"""From settings to what a run or the service works with. The driver does it once, without Ray."""
