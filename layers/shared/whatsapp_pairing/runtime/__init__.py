"""What every function uses: settings, the connection to Postgres, AWS, logs, metrics and leases."""
