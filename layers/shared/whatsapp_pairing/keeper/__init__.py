"""What is done with a linked device after the pairing. Today that is its removal."""
