"""What can go wrong in reading the template."""

from infra.errors import ToolError


class TemplateError(ToolError):
    """The template names, lacks or uses something that cannot be resolved."""
