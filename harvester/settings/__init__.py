"""All that a run is told: what it is in `model`, out of flags, environment and files by `load`."""
