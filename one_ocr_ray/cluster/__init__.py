"""Ray as an adapter: every module here reaches Ray, and none outside does."""
