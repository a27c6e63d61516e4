"""The repository and the linker on a real Postgres."""
