"""The single operations that are compared, of this app and of prometheus_client, on metrics of one shape."""

from __future__ import annotations

from collections.abc import Callable

Call = Callable[[], object]

LABELS = ("method", "endpoint", "status")
VALUES = ("GET", "hello/", "200")
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
NAMES = ("inc, bound", "inc, looked up", "observe, bound", "observe, looked up", "set, bound")


def ours() -> dict[str, Call]:
    from observability.catalogue import Budget, Label, Mode
    from observability.live import Counter, Gauge, Histogram

    labels = [Label(name, Budget(10)) for name in LABELS]
    counter = Counter("bench_total", "Of the bench.", group="Bench", labels=labels)
    histogram = Histogram("bench_seconds", "Of the bench.", group="Bench", labels=labels, buckets=BUCKETS)
    gauge = Gauge("bench_level", "Of the bench.", group="Bench", labels=labels, mode=Mode.LIVE_SUM)
    bound, observed, level = counter.at(*VALUES), histogram.at(*VALUES), gauge.at(*VALUES)
    return {
        "inc, bound": bound.inc,
        "inc, looked up": lambda: counter.at("GET", "hello/", "200").inc(),
        "observe, bound": lambda: observed.observe(0.02),
        "observe, looked up": lambda: histogram.at("GET", "hello/", "200").observe(0.02),
        "set, bound": lambda: level.set(3),
    }


def peers() -> dict[str, Call]:
    from prometheus_client import Counter, Gauge, Histogram

    counter = Counter("bench", "Of the bench.", LABELS)
    histogram = Histogram("bench_seconds", "Of the bench.", LABELS, buckets=BUCKETS)
    gauge = Gauge("bench_level", "Of the bench.", LABELS, multiprocess_mode="livesum")
    bound, observed, level = counter.labels(*VALUES), histogram.labels(*VALUES), gauge.labels(*VALUES)
    return {
        "inc, bound": bound.inc,
        "inc, looked up": lambda: counter.labels("GET", "hello/", "200").inc(),
        "observe, bound": lambda: observed.observe(0.02),
        "observe, looked up": lambda: histogram.labels("GET", "hello/", "200").observe(0.02),
        "set, bound": lambda: level.set(3),
    }
