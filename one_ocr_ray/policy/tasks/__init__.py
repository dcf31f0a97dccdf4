"""What a task of the service is, its states, and how it is encoded."""
