"""The dataset's files, and what reads them: verify, export, evaluate."""
