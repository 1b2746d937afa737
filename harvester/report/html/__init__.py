"""The report: one self-contained page drawn from a summary; its charts need no network and no script."""
