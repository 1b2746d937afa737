"""Rows out: encoders, destinations, and the one writer that owns the files and their ledger.

Each room is imported by its own name: a harvest has no need to load what proves an output.
"""
