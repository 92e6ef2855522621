"""Hashes, RLP, tries and ABI words: bytes in, bytes out."""
