"""The tests. Their environment is cleaned before anything else of them is imported."""

from tests.support import environment as environment
