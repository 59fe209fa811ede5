"""Everything the product measures of its domain, all visible at once, and the verbs by which it does.

Below all that counts, so it knows no models: what labels may say of them stands here again, and a test compares.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Literal, TypeAlias, get_args

from harvester.errors import FetchFailure
from observability.catalogue import FAST, Budget, Closed, D, Label, Mode
from observability.live import Counter, Gauge, Histogram
from observability.metrics import errors
from observability.pulled import Pulled
from observability.series import CounterChild, HistogramChild
from ratelimit.tiers import known_tiers

STAGES = ("ingest", "same_work", "score")
RELATIONSHIP_TYPES = ("same_as",)
RELATIONSHIP_METHODS = ("doi", "arxiv", "url", "title")
REJECTIONS = (
    *("checksum", "unknown", "revoked", "expired", "inactive_owner"),
    *("too_many", "lookup_timeout", "lookup_failed", "malformed"),
)
"""Why an API key is not accepted, as ``ratelimit.signals`` lists them."""
DECIDERS = ("redis", "memory", "deny_cache", "none")
"""What a decision of the limiter may rest on."""


CheckResult: TypeAlias = Literal["allowed", "denied", "shadow"]
"""What the limiter decides; ``shadow``: a denial that was let through."""


class Mishap(StrEnum):
    """What ``errors_total`` calls the errors that the product has met and dealt with."""

    FETCH_FAILED = "fetch_failed"
    ENTRY_REFUSED = "entry_refused"
    ARTIFACT_FAILED = "artifact_failed"
    RUN_FAILED = "run_failed"
    RUN_LOST = "run_lost"
    RATE_LIMIT_FALLBACK = "ratelimit_fallback"
    COMPONENT_DEGRADED = "component_degraded"
    COMPONENT_UNHEALTHY = "component_unhealthy"


Severity: TypeAlias = Literal["warning", "error", "critical"]
SEVERITIES: Mapping[Mishap, tuple[Severity, ...]] = {
    Mishap.FETCH_FAILED: ("warning", "error"),
    Mishap.ENTRY_REFUSED: ("warning",),
    Mishap.ARTIFACT_FAILED: ("error",),
    Mishap.RUN_FAILED: ("error",),
    Mishap.RUN_LOST: ("error",),
    Mishap.RATE_LIMIT_FALLBACK: ("warning",),
    Mishap.COMPONENT_DEGRADED: ("warning",),
    Mishap.COMPONENT_UNHEALTHY: ("error",),
}
"""How bad each may be."""
# At zero from the start: the first one is then a rise, which a rate shows.
for _mishap, _severities in SEVERITIES.items():
    for _severity in _severities:
        errors.at(_mishap, _severity)

_tier = Label("tier", Closed(known_tiers()))
_decider = Label("backend", Closed(DECIDERS))
_store = Label("backend", Closed(("redis", "memory")))
_source = Label("source", Budget(50, may_be_spent=True))
_stage = Label("stage", Closed(STAGES))
_component = Label("component", Budget(40, may_be_spent=True))

# --- Rate limiter --------------------------------------------------------------------------------------------------

rate_limit_requests = Counter(
    "rate_limit_requests_total",
    "Decisions of the limiter, two for an operation with a price of its own; shadow is a denial that was let through.",
    group="Rate limiter",
    labels=(_tier, Label("result", Closed(get_args(CheckResult)))),
)
rate_limit_denials = Counter(
    "rate_limit_denials_total",
    "Requests that were refused because their limit was reached.",
    group="Rate limiter",
    labels=(_tier,),
)
rate_limit_check_duration = Histogram(
    "rate_limit_check_duration_seconds",
    "What a decision took, by what decided; deny_cache: a denial, from what Redis said last; none: nobody was asked.",
    group="Rate limiter",
    labels=(_decider,),
    buckets=FAST,
)
rate_limit_identity_failures = Counter(
    "rate_limit_identity_failures_total",
    "API keys that were presented and not accepted, by why.",
    group="Rate limiter",
    labels=(Label("reason", Closed(REJECTIONS)),),
)
rate_limiter_backend_up = Gauge(
    "rate_limiter_backend_up",
    "Whether the store can decide, as every living process has found: 0 for a Redis that one of them goes on without.",
    group="Rate limiter",
    labels=(_store,),
    mode=Mode.LIVE_MIN,
)
rate_limiter_buckets_active = Pulled(
    "rate_limiter_buckets_active",
    "Buckets that are not full: of all clients in redis, and in the memory of the process that was asked.",
    group="Rate limiter",
    labels=(_store,),
)

# --- Discovery -----------------------------------------------------------------------------------------------------

discoveries_fetched = Counter(
    "discoveries_fetched_total",
    "Entries that were read from a source, new or not.",
    group="Discovery",
    labels=(_source,),
)
discovery_fetch_duration = Histogram(
    "discovery_fetch_duration_seconds",
    "What reading one source took, from its first page to its last, with the storing of each.",
    group="Discovery",
    labels=(_source,),
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60),
)
discovery_fetch_failures = Counter(
    "discovery_fetch_failures_total",
    "Sources that could not be read, by why.",
    group="Discovery",
    labels=(Label("reason", Closed(tuple(map(str, FetchFailure)))),),
)
discovery_score = Histogram(
    "discovery_score",
    "Scores that were given, of 0 to 100.",
    group="Discovery",
    buckets=tuple(range(10, 101, 10)),
)
discoveries_scored = Counter("discoveries_scored_total", "Scores that were given, also anew.", group="Discovery")
discovery_pipeline_duration = Histogram(
    "discovery_pipeline_duration_seconds",
    "What a stage of the pipeline took in one run, over all that waited for it.",
    group="Discovery",
    labels=(_stage,),
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300, 600, 1800, 3600),
)
discovery_pipeline_last_success = Gauge(
    "discovery_pipeline_last_success_timestamp_seconds",
    "Unix time at which a stage of the pipeline last came to its end, and not with failures only.",
    group="Discovery",
    labels=(_stage,),
    mode=Mode.MAX,
    slo="freshness",
)
discoveries = Pulled(
    "discoveries",
    "Artifacts that have a score, by the source they were found in.",
    group="Discovery",
    labels=(_source,),
)
discovery_backlog = Pulled(
    "discovery_backlog",
    "What waits for a stage of the pipeline: sources that are due for ingest, artifacts for the others.",
    group="Discovery",
    labels=(_stage,),
)

# --- Relationships -------------------------------------------------------------------------------------------------

relationships_detected = Counter(
    "relationships_detected_total",
    "Relationships between artifacts that were found and not known before.",
    group="Relationships",
    labels=(Label("type", Closed(RELATIONSHIP_TYPES)), Label("method", Closed(RELATIONSHIP_METHODS))),
)
relationship_confidence = Histogram(
    "relationship_confidence",
    "How sure the relationships are that were found, of 0 to 1.",
    group="Relationships",
    buckets=(0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1),
)

# --- API keys ------------------------------------------------------------------------------------------------------

api_keys_active = Pulled(
    "api_keys_active",
    "API keys that are good now: not revoked, not expired, of an owner who is active.",
    group="API keys",
    labels=(_tier,),
)

# --- Health --------------------------------------------------------------------------------------------------------

health_component_status = Gauge(
    "health_component_status",
    "What the last check of a component has found: 2 healthy, 1 degraded, 0 unhealthy.",
    group="Health",
    labels=(_component,),
    # Not the worst of all processes: each looks when it is asked, and one that is asked no more would stay at its word.
    mode=Mode.LIVE_MOST_RECENT,
    slo="availability",
)
health_check_duration = Histogram(
    "health_check_duration_seconds",
    "What a component's check took, until its end or its deadline.",
    group="Health",
    labels=(_component,),
    buckets=D,
)


# --- The verbs -----------------------------------------------------------------------------------------------------


def record_rate_limit_check(tier: str, result: CheckResult, backend: str, duration_seconds: float) -> None:
    """Count one decision of the limiter."""
    counters, duration = _checks.get((tier, result, backend)) or _learn_check(tier, result, backend)
    duration.observe(duration_seconds)
    for counter in counters:
        counter.inc()


def _learn_check(tier: str, result: CheckResult, backend: str) -> tuple[tuple[CounterChild, ...], HistogramChild]:
    """What such a decision moves, found once: it happens at every request. All labels are closed, so there are few."""
    counters: tuple[CounterChild, ...] = (rate_limit_requests.at(tier, result),)
    if result == "denied":
        counters += (rate_limit_denials.at(tier),)
    learnt = _checks[tier, result, backend] = counters, rate_limit_check_duration.at(backend)
    return learnt


_checks: dict[tuple[str, CheckResult, str], tuple[tuple[CounterChild, ...], HistogramChild]] = {}


def record_discovery_fetch(source: str, count: int, duration_seconds: float) -> None:
    """Count one reading of a source, which has given ``count`` entries, whether it came to its end or not."""
    discoveries_fetched.at(source).inc(count)
    discovery_fetch_duration.at(source).observe(duration_seconds)


def record_fetch_failure(reason: FetchFailure) -> None:
    """Count a source that could not be read. One that is away is what happens; that we break is an error."""
    discovery_fetch_failures.at(reason).inc()
    record_mishap(Mishap.FETCH_FAILED, "error" if reason is FetchFailure.UNEXPECTED else "warning")


def record_discovery_score(score: float) -> None:
    """Count one score, of 0 to 100."""
    record_discovery_scores((score,))


def record_discovery_scores(scores: Sequence[float]) -> None:
    """Count many at once."""
    observe = discovery_score.at().observe
    for score in scores:
        observe(score)
    discoveries_scored.inc(len(scores))


def record_stage(stage: str, duration_seconds: float, *, has_succeeded: bool) -> None:
    """Count one passage of a run through a stage."""
    discovery_pipeline_duration.at(stage).observe(duration_seconds)
    if has_succeeded:
        discovery_pipeline_last_success.at(stage).set(time.time())


def record_relationships(found: Iterable[tuple[str, str, float]]) -> None:
    """Count relationships that were not known before: type, method and confidence (0 to 1) of each."""
    observe = relationship_confidence.at().observe
    for kind, method, confidence in found:
        relationships_detected.at(kind, method).inc()
        observe(confidence)


def record_mishap(mishap: Mishap, severity: Severity, count: int = 1) -> None:
    """Count errors that were met and dealt with; ``severity`` is one of those that ``SEVERITIES`` has for it."""
    errors.at(mishap, severity).inc(count)
