"""Durable orders and the runner that carries them out."""
