"""The error that all tools share."""


class ToolError(Exception):
    """A problem that the person at the terminal can solve. The tool prints the message and exits with 1."""
