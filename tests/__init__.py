"""The tests; stack.py and conftest.py hold what they share."""
