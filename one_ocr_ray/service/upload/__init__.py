"""From the body of an upload to files on disk and options."""
