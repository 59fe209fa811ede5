"""Everything this app measures by itself, all visible at once: requests, queries, caches, tasks, errors, and itself."""

from __future__ import annotations

from observability.catalogue import BYTES, FAST, TASK, Budget, Closed, D, H, Label, Mode
from observability.live import Counter, Gauge, Histogram, count_drops_in

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "OTHER")
UNMATCHED = "unmatched"
"""The endpoint of what no route fits."""
UNROUTED = "unrouted"
"""The endpoint of what was answered before it could be routed."""
OPERATIONS = ("select", "insert", "update", "delete", "schema", "transaction", "other")
CACHE_TYPES = ("redis", "memcached", "locmem", "database", "file", "dummy", "other")
CACHE_OPERATIONS = (
    *("get", "set", "add", "delete", "touch", "incr", "has_key", "clear"),
    *("get_many", "set_many", "delete_many"),
)
TASK_OUTCOMES = ("success", "failure", "retry", "revoked", "ignored", "other")
SEVERITIES = ("warning", "error", "critical")

_method = Label("method", Closed(METHODS, other="OTHER"))
_endpoint = Label("endpoint", Budget(300))
_status = Label("status", Budget(60))
_operation = Label("operation", Closed(OPERATIONS, other="other"))
_table = Label("table", Budget(200))
_cache_type = Label("cache_type", Closed(CACHE_TYPES, other="other"))
_cache_name = Label("cache_name", Budget(20))
_task = Label("task", Budget(50))

# --- HTTP ----------------------------------------------------------------------------------------------------------

http_requests = Counter(
    "http_requests_total",
    "Requests answered, by the route's pattern and the status code of the answer; 499: the client left before it.",
    group="HTTP",
    labels=(_method, _endpoint, _status),
    slo="availability",
)
http_request_duration = Histogram(
    "http_request_duration_seconds",
    "From a request's arrival to the answer's beginning.",
    group="HTTP",
    labels=(_method, _endpoint),
    buckets=H,
    slo="latency",
)
http_requests_in_progress = Gauge(
    "http_requests_in_progress",
    "Requests that are being answered now.",
    group="HTTP",
    labels=(_method,),
    mode=Mode.LIVE_SUM,
)
http_response_size = Histogram(
    "http_response_size_bytes",
    "Length of the answers' bodies, before the server compresses or cuts anything.",
    group="HTTP",
    labels=(_endpoint,),
    buckets=BYTES,
)
http_streaming_duration = Histogram(
    "http_streaming_duration_seconds",
    "From the arrival of a request whose answer is streamed to the answer's last byte, or to its being given up.",
    group="HTTP",
    labels=(_endpoint,),
    buckets=(*H, 30, 60, 300),
)

# --- Database ------------------------------------------------------------------------------------------------------

db_query_duration = Histogram(
    "db_query_duration_seconds",
    "What a statement took in the database, with the way there and back.",
    group="Database",
    labels=(_operation, _table),
    buckets=D,
)
db_queries = Counter(
    "db_queries_total",
    "Statements sent to the database; status is ok or error.",
    group="Database",
    labels=(_operation, _table, Label("status", Closed(("ok", "error")))),
)
db_queries_per_request = Histogram(
    "db_queries_per_request",
    "How many statements a request has sent to the databases.",
    group="Database",
    labels=(_endpoint,),
    buckets=(0, 1, 2, 5, 10, 20, 50, 100, 200),
)

# --- Cache ---------------------------------------------------------------------------------------------------------

cache_hits = Counter(
    "cache_hits_total",
    "Keys that were asked for and found.",
    group="Cache",
    labels=(_cache_type, _cache_name),
)
cache_misses = Counter(
    "cache_misses_total",
    "Keys that were asked for and not found.",
    group="Cache",
    labels=(_cache_type, _cache_name),
)
cache_operation_duration = Histogram(
    "cache_operation_duration_seconds",
    "What an operation on a cache took, whether it failed or not.",
    group="Cache",
    labels=(_cache_name, Label("operation", Closed(CACHE_OPERATIONS))),
    buckets=FAST,
)

# --- Background tasks ----------------------------------------------------------------------------------------------

background_tasks_active = Gauge(
    "background_tasks_active",
    "Tasks that workers are busy with now.",
    group="Background tasks",
    labels=(_task,),
    mode=Mode.LIVE_SUM,
)
background_tasks_completed = Counter(
    "background_tasks_completed_total",
    "Tasks that workers have ended, by how.",
    group="Background tasks",
    labels=(_task, Label("status", Closed(TASK_OUTCOMES, other="other"))),
)
background_task_duration = Histogram(
    "background_task_duration_seconds",
    "From a task's start to its end.",
    group="Background tasks",
    labels=(_task,),
    buckets=TASK,
)

# --- Errors --------------------------------------------------------------------------------------------------------

errors = Counter(
    "errors_total",
    "Errors that were met and dealt with, or not, by where and how bad.",
    group="Errors",
    labels=(Label("type", Budget(50)), Label("severity", Closed(SEVERITIES, other="error"))),
)
exceptions_unhandled = Counter(
    "exceptions_unhandled_total",
    "Exceptions that nobody has caught: a view's, which became a 500, a streamed answer's, or a task's.",
    group="Errors",
    labels=(Label("exception", Budget(100)),),
    slo="availability",
)

# --- Itself --------------------------------------------------------------------------------------------------------

dropped_series = Counter(
    "metrics_dropped_series_total",
    "Look-ups of a series that came to “other” instead: a label's budget was spent, or its value is over 200 characters"
    " long or not printable.",
    group="Metrics",
    labels=(Label("metric", Budget(500)),),
)
scrape_duration = Histogram(
    "metrics_scrape_duration_seconds",
    "What making the page of metrics took, compression included.",
    group="Metrics",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1),
)
scrape_size = Gauge(
    "metrics_scrape_size_bytes",
    "Length of the last page of metrics, before compression.",
    group="Metrics",
    mode=Mode.MOST_RECENT,
)
scrape_samples = Gauge(
    "metrics_scrape_samples",
    "How many samples the last page of metrics had.",
    group="Metrics",
    mode=Mode.MOST_RECENT,
)
count_drops_in(dropped_series)
