"""The page's address, for ``reverse()`` and for projects that go without the middleware.

    path("metrics", include("observability.urls"))

Where there is the middleware no request gets so far, unless OBSERVABILITY_PATH is another one.
"""

from __future__ import annotations

from django.db import connections, transaction
from django.urls import path

from observability.views import metrics_view

for _alias in connections:  # with ATOMIC_REQUESTS every scrape would ask a database, and wait for one that hangs
    transaction.non_atomic_requests(using=_alias)(metrics_view)

app_name = "observability"
urlpatterns = [path("", metrics_view, name="metrics")]
