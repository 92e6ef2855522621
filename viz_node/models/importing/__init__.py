"""Takes in adapters that other programs trained: read without trust, rewritten exactly into our form, or refused."""
