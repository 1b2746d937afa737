"""Tables that a harvest is merged into, each in a single commit."""
