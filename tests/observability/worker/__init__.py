"""A small project with a Celery worker, over files as broker."""
