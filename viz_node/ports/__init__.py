"""What the services need from the world, as small Protocols; whatever fits them knows nothing of them.

One module per stage. Each Protocol has the few verbs that one consumer needs, so that a constructor tells what its
class can do to the world.
"""
