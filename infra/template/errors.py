"""The error of reading a template."""

from infra.errors import ToolError


class TemplateError(ToolError):
    """The template lacks something, or uses something that cannot be resolved."""
