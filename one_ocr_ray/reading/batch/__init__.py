"""Provider batches without Ray: request spools, answers, and who creates and watches batches."""
