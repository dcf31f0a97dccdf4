"""The files of the service: tasks, the task manager's lease, ended sessions, budgets of keys."""
