"""Federated rounds: an embedded Flower SuperLink, its coordinator, and members that train one flat vector.

Flower is used as protocol and strategy library only: no application code is shipped or run, every run names the same
constant stub bundle, and the door that peers reach serves nothing but the Fleet API. Importing this package does not
import Flower; `coordinator` and `member` do.
"""
