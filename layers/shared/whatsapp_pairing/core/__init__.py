"""Words and rules that know nothing of a database, of AWS or of WhatsApp's protocol. All other folders use them."""
