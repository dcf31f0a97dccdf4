"""Provider batches without Ray: spools of request lines, answers of batches, and who creates and watches batches."""
