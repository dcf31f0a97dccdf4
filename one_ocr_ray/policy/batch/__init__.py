"""Provider batches: what a parcel is, in which stage it stands, and how much may lie at a provider. Pure."""
