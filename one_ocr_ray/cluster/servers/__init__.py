"""Model servers on the cluster's GPUs: an actor for each, and a run's fleet."""
