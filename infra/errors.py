"""The error that all tools share."""


class ToolError(Exception):
    """A sentence for the person at the terminal, who can put it right; the tool says it and exits 1."""
