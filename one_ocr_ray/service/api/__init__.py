"""The routes of the HTTP interface, one module for each kind of thing, and what their description says."""
