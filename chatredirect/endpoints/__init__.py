"""Which endpoints are served, when, and in which mode."""
