"""Uses that are paid one by one: payer and owner."""
