"""Who may do what in the database: each attack as a test."""
