"""The HTML page of a harvest: which accounts nobody uses, and how the run went."""
