"""The market on an EVM chain: deployment, reads, transactions, ledger, audit and the local development chain."""
