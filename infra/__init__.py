"""Tools around the system: migrations, the workflow, the sandbox and the local runner."""
