"""The product's own settings, typed, read at the moment of use; the default stands beside the name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.conf import settings as django_settings

HARVEST_COST = 10
"""What asking for a harvest takes of a client's limit, in requests: it makes a worker ask the sources."""
HARVEST_CALLS = "6/m"
"""How often each client may ask for one, by page or API."""


class HarvesterSettings:
    """One property per ``HARVESTER_*`` setting."""

    @property
    def allowed_private_hosts(self) -> Sequence[str]:
        """``host`` or ``host:port`` entries that may be fetched although they are not public."""
        return tuple(getattr(django_settings, "HARVESTER_ALLOWED_PRIVATE_HOSTS", ()))

    @property
    def contact(self) -> str:
        """URL or address for the User-Agent; may be empty."""
        return str(getattr(django_settings, "HARVESTER_CONTACT", ""))

    @property
    def version(self) -> str:
        return str(getattr(django_settings, "HARVESTER_VERSION", "unknown"))

    @property
    def in_process_hosts(self) -> Mapping[str, str]:
        """Host suffix → dotted path of the function that answers for it without a network."""
        return dict(getattr(django_settings, "HARVESTER_IN_PROCESS_HOSTS", {}))

    @property
    def max_body_bytes(self) -> int:
        """Largest decompressed reply that is read, in bytes."""
        return int(getattr(django_settings, "HARVESTER_MAX_BODY_BYTES", 8 * 1024 * 1024))

    @property
    def fetch_timeout_seconds(self) -> float:
        """Longest a single fetch may take from start to end, redirects included, retries not."""
        return float(getattr(django_settings, "HARVESTER_FETCH_TIMEOUT_SECONDS", 30.0))

    @property
    def connect_timeout_seconds(self) -> float:
        return float(getattr(django_settings, "HARVESTER_CONNECT_TIMEOUT_SECONDS", 5.0))


conf = HarvesterSettings()
