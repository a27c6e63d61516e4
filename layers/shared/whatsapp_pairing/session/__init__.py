"""What a user sees of their WhatsApp."""
