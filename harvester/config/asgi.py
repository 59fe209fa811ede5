"""The ASGI entry point."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

from harvester.config.requests import Utf8ASGIRequest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "harvester.config.settings")

application = get_asgi_application()
application.request_class = Utf8ASGIRequest
