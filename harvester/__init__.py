"""Asynchronous bulk harvester of account usage summaries."""
