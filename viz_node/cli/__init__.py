"""The terminal: parse, call the node, print; knows no library but click and rich."""
