"""The next architecture, built beside version 1 until it carries the load."""
