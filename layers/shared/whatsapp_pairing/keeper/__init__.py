"""The work on a linked device after its pairing. Today this is only the removal of the device."""
