"""From the click to the linked device: the use cases, the linker, and the tables that they change."""
