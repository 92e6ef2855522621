"""The node as a process: configuration, composition root, supervision; the only package that sees everything."""
