"""The tests' project behind a real server: ``gunicorn tests.observability.served:application``."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.observability.settings")

application = get_wsgi_application()
