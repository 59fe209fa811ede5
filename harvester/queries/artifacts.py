"""One artifact with all that belongs to it, and the same work elsewhere."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from django.db import connection
from django.db.models import Q, QuerySet

from harvester.models import Artifact, Relationship, RelationshipType
from harvester.queries.cursors import Order

MOST_CONFIDENT = Order("most confident", value="confidence", type=float)
LARGEST_WORK = 100  # artifacts; a “work” seen more often than that is a mistake of matching, not worth walking
_USUAL_WORK = 20  # artifacts; what each of many works may take of what is walked together


@dataclass(frozen=True, slots=True)
class SameWork:
    """Another artifact that is the same work, and the link that proves it (``method`` and ``evidence``)."""

    artifact: Artifact
    method: str
    evidence: str
    confidence: float


def artifact_with_everything(artifact_id: int) -> Artifact:
    """The artifact with source, score (which may be missing) and identifiers; raises Artifact.DoesNotExist."""
    return Artifact.objects.select_related("source", "score").prefetch_related("identifiers").get(pk=artifact_id)


def relationships_of(
    artifact_id: int, *, relationship_type: str | None = None, min_confidence: float | None = None
) -> QuerySet[Relationship]:
    """The statements in which the artifact is source or target, most confident first, with both ends."""
    found = Relationship.objects.filter(Q(source=artifact_id) | Q(target=artifact_id))
    if relationship_type is not None:
        found = found.filter(type=relationship_type)
    if min_confidence is not None:
        found = found.filter(confidence__gte=min_confidence)
    return (
        found.select_related("source", "target")
        .only(
            *("type", "confidence", "method", "evidence"),
            *(f"{end}__{field}" for end in ("source", "target") for field in ("title", "kind")),
        )
        .order_by(*MOST_CONFIDENT.columns())
    )


def same_work(artifact_id: int) -> list[SameWork]:
    """The other artifacts that are the same work, also through third ones; oldest first. Two queries."""
    return same_works([artifact_id])[artifact_id]


def same_works(artifact_ids: Iterable[int]) -> dict[int, list[SameWork]]:
    """``same_work`` for many artifacts at once, still two queries; every id asked for is a key.

    Where works are absurdly large, what is farthest away is left out.
    """
    asked = list(dict.fromkeys(artifact_ids))
    graph = _Graph(_edges_around(asked))
    reached = {artifact_id: dict(graph.proofs_from(artifact_id)) for artifact_id in asked}
    others = (
        Artifact.objects.filter(pk__in={other for proofs in reached.values() for other in proofs})
        .select_related("source")
        .only("kind", "canonical_url", "title", "published_at", "source__name", "source__kind")
        .in_bulk()
    )
    return {
        artifact_id: sorted(
            (
                SameWork(others[other], edge.method, edge.evidence, edge.confidence)
                for other, edge in proofs.items()
                if other in others
            ),
            key=lambda same: (same.artifact.published_at, same.artifact.pk),
        )
        for artifact_id, proofs in reached.items()
    }


@dataclass(frozen=True, slots=True)
class _Edge:
    source_id: int
    target_id: int
    method: str
    evidence: str
    confidence: float


class _Graph:
    """The ``same_as`` links around some artifacts, without direction."""

    def __init__(self, edges: Iterable[_Edge]) -> None:
        self._edges: Mapping[int, list[tuple[int, _Edge]]] = defaultdict(list)
        for edge in edges:
            self._edges[edge.source_id].append((edge.target_id, edge))
            self._edges[edge.target_id].append((edge.source_id, edge))

    def proofs_from(self, start: int) -> Iterator[tuple[int, _Edge]]:
        """What can be reached, nearest first, with the link that reaches it; at most LARGEST_WORK in all."""
        seen, waiting = {start}, deque([start])
        while waiting:
            for other, edge in self._edges.get(waiting.popleft(), ()):
                if other not in seen and len(seen) < LARGEST_WORK:
                    seen.add(other)
                    waiting.append(other)
                    yield other, edge


# UNION (not UNION ALL) drops what was reached before, so cycles end by themselves; LIMIT ends what is absurdly large,
# for both databases compute a recursive table only as far as it is read, nearest first.
_EDGES_SQL = """
    WITH RECURSIVE linked (id) AS (
        SELECT id FROM harvester_artifact WHERE id IN ({asked})
        UNION
        SELECT CASE WHEN edge.source_id = linked.id THEN edge.target_id ELSE edge.source_id END
        FROM linked
        JOIN harvester_relationship edge ON (edge.source_id = linked.id OR edge.target_id = linked.id)
        WHERE edge.type = %s
    ),
    near (id) AS (SELECT id FROM linked LIMIT %s)
    SELECT edge.source_id, edge.target_id, edge.method, edge.evidence, edge.confidence
    FROM harvester_relationship edge
    JOIN near source ON source.id = edge.source_id
    JOIN near target ON target.id = edge.target_id
    WHERE edge.type = %s
    ORDER BY edge.confidence DESC, edge.id
"""


def _edges_around(artifact_ids: list[int]) -> Iterator[_Edge]:
    if not artifact_ids:
        return
    sql = _EDGES_SQL.format(asked=", ".join(["%s"] * len(artifact_ids)))
    limit = max(LARGEST_WORK, _USUAL_WORK * len(artifact_ids))
    with connection.cursor() as cursor:
        cursor.execute(sql, [*artifact_ids, RelationshipType.SAME_AS, limit, RelationshipType.SAME_AS])
        for row in cursor.fetchall():
            yield _Edge(*row)
