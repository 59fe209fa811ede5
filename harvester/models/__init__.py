"""The nouns of the product, one file each."""

from harvester.models.artifact import MAX_ATTEMPTS, Artifact, ArtifactKind, ArtifactStage, Identifier, IdentifierScheme
from harvester.models.relationship import Relationship, RelationshipMethod, RelationshipType
from harvester.models.run import Run, RunStatus, WorkerHeartbeat
from harvester.models.score import Score
from harvester.models.source import LONGEST_ADDRESS, LONGEST_NAME, Source, SourceKind, SourceState
from harvester.models.user import User

__all__ = [
    "LONGEST_ADDRESS",
    "LONGEST_NAME",
    "MAX_ATTEMPTS",
    "Artifact",
    "ArtifactKind",
    "ArtifactStage",
    "Identifier",
    "IdentifierScheme",
    "Relationship",
    "RelationshipMethod",
    "RelationshipType",
    "Run",
    "RunStatus",
    "Score",
    "Source",
    "SourceKind",
    "SourceState",
    "User",
    "WorkerHeartbeat",
]
