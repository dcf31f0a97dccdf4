"""Model servers on the cluster's GPUs: an actor for each, and the fleet of a run."""
