"""The market contract as the node reads it and calls it, one module per part of the contract; holds no key."""
