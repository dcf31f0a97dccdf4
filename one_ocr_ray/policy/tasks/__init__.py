"""What a task of the service is, which states it passes, and how it is encoded."""
