"""What signs, prices and sends transactions."""
