"""The artifacts: what they hold, and that they run."""
