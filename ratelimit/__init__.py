"""A distributed token bucket for any Django project."""
