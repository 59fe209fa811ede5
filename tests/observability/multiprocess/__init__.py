"""Numbers of several processes."""
