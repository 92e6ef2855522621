"""Transactions, payments, allowances and royalties of this node's account."""
