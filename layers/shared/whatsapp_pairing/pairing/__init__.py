"""From the click to the linked device: the use cases, the linker, and their calls of the database."""
