"""What a dataset holds and when it is complete: plan, schema, journal, documents, checks, exports."""
