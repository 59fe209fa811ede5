"""Mixins that count how often a row is made, changed or removed by itself (``django_model_inserts_total`` and so on).

For models that are written one row at a time only: what is written in bulk passes them by. So does ``QuerySet.update``,
by which a run changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # django-prometheus makes its mixins at run time, and has no types.
    class CountedSource: ...

    class CountedUser: ...

else:
    from django_prometheus.models import ExportModelOperationsMixin
    from prometheus_client import disable_created_metrics

    disable_created_metrics()  # a series more for each counter, which nobody asks for; several processes have none
    CountedSource = ExportModelOperationsMixin("source")
    CountedUser = ExportModelOperationsMixin("user")

__all__ = ["CountedSource", "CountedUser"]
