"""Seeded experiments that compare payout and pricing rules; knows no chain, no node, no clock.

Amounts are floats in units of one period's fee or of a floor price: a model of the rules that the contracts keep in
exact integers, for comparing them and never for paying anybody.
"""
