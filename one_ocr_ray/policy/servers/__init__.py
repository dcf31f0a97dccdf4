"""Decisions about model servers: their command, what their log means, when one is started again."""
