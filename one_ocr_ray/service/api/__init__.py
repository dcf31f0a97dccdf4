"""The routes of the HTTP interface, a module per subject, and their description."""
