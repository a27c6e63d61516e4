"""The tests. Importing this package cleans the environment before any other module of the tests is imported."""

from tests.support import environment as environment
