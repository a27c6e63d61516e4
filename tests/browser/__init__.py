"""The settings page in a real Chromium."""
