"""The report as one HTML page: which accounts nobody uses, then the run."""
