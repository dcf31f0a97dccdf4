"""The service on Ray: Serve in front, the task manager's actor, its workers."""
