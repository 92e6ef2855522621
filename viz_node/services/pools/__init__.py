"""Subscriptions to catalogues: operator, member and subscriber."""
