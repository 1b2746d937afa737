"""Everything that talks to the tenant's API. `Lane.send` is the one way to send a request."""
