"""Decides which account is requested next, on which lane, and what each answer means for it.

`engine.Engine` is the entry point. Below it, in the order of the imports: `workers` send requests,
`conductor` carries out decisions, `policy` makes them, `scheduler` knows all accounts that are begun
and not settled, `circuit_breaker` how the tenant is doing, and `recorder` writes to the ledger.
"""

from harvester.engine.engine import Engine

__all__ = ["Engine"]
