"""What can be said of the address of a source without asking anybody."""

from __future__ import annotations

from harvester.clients.addresses import parse
from harvester.errors import FetchError, SourceConfigError


def require_web_address(url: str) -> None:
    """Raise SourceConfigError for an address that the client would never fetch from."""
    try:
        parse(url)
    except FetchError as error:
        raise SourceConfigError("url", error.detail) from error
