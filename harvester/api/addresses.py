"""Where things stand in the API, as paths."""

from __future__ import annotations

from urllib.parse import urlencode

from django.urls import reverse

NAMESPACE = "api-v1"


def artifact_address(artifact_id: int) -> str:
    return reverse(f"{NAMESPACE}:get_artifact", args=[artifact_id])


def relationships_address(artifact_id: int) -> str:
    return reverse(f"{NAMESPACE}:list_relationships", args=[artifact_id])


def discoveries_address(source: str) -> str:
    """The discoveries of one source."""
    return f"{reverse(f'{NAMESPACE}:list_discoveries')}?{urlencode({'source': source})}"


def run_address(run_id: int) -> str:
    return reverse(f"{NAMESPACE}:get_run", args=[run_id])
