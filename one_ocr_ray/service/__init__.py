"""The HTTP application: it stores uploads, hands them to the task manager and shows results. It knows no Ray."""
