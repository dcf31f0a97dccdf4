"""Model servers on the cluster's GPUs: an actor for each, and the fleet that a run starts, watches and ends."""
