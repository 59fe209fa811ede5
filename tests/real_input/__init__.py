"""Recorded replies of real services, harvested through the command line and compared with an independent count."""
