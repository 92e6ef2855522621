"""Adapters that several owners train together."""
