"""One file per service that can be looked at."""
