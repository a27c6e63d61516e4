"""Words and rules of the domain. They use no database, no AWS and no WhatsApp. All other folders use them."""
