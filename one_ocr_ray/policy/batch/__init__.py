"""Provider batches: parcels, their stages, and how much may lie at a provider. Pure."""
