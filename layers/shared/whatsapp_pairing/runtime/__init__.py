"""What a function runs on: its settings, its connection to Postgres, AWS, logs and metrics."""
