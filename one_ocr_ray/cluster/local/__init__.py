"""A Ray of a process's own on this machine."""
