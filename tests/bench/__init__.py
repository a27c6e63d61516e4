"""What the README claims about speed, measured: python -m tests.bench (or make bench)."""
