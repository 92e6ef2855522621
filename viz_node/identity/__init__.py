"""Keys, signatures and sealing; the only place that holds secret keys."""
