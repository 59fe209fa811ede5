"""The probes' addresses, for ``reverse()`` and for projects that go without the middleware.

    path("health/", include("health.urls"))

Where there is the middleware no request gets so far.
"""

from __future__ import annotations

from django.db import connections, transaction
from django.urls import re_path

from health.views import view

for _alias in connections:  # with ATOMIC_REQUESTS even liveness would ask a database, and wait for one that hangs
    transaction.non_atomic_requests(using=_alias)(view)

app_name = "health"
urlpatterns = [
    re_path(r"^$", view, {"path": ""}, name="page"),
    re_path(r"^live/?$", view, {"path": "live"}, name="live"),
    re_path(r"^ready/?$", view, {"path": "ready"}, name="ready"),
    re_path(r"^ready/(?P<component>[^/]+)/?$", view, {"path": "ready"}, name="component"),
    re_path(r"^startup/?$", view, {"path": "startup"}, name="startup"),
    re_path(r"^(?P<path>.+)$", view),  # says what there is
]
