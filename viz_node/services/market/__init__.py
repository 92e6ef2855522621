"""Listings, offers, licenses, keys and notices."""
