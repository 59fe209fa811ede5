"""Prometheus metrics for any Django project."""
