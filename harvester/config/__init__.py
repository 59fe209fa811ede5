"""The Django project; importing the Celery app here makes `shared_task` and `send_task` use it."""

from harvester.config.celery import app as celery_app

__all__ = ["celery_app"]
