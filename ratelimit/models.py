"""Who may more than anybody: API keys, of which only a hash is kept, and users assigned to a tier."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import ProhibitNullCharactersValidator
from django.db import models, transaction
from django.db.models.functions import Length
from django.db.models.lookups import Exact
from django.utils import timezone

from ratelimit.keys import PREFIX_LENGTH, KeyScope, hash_of, new_key, prefix_of
from ratelimit.tiers import known_tiers

_HASH_LENGTH = 64


def tier_choices() -> list[tuple[str, str]]:
    """Asked by forms and validation at the moment of use, so that RATELIMIT_TIERS needs no migration."""
    return [(name, name) for name in known_tiers()]


class ApiKeyManager(models.Manager["ApiKey"]):
    def issue(self, *, name: str, **fields: Any) -> tuple[ApiKey, str]:
        """Make and save a key; the text beside it exists nowhere else and must be shown now.

        ``fields``: scope, owner, tier, expires_at, note. Raises ValidationError.
        """
        key = new_key()
        issued = self.model(name=name, prefix=prefix_of(key), key_hash=hash_of(key), **fields)
        issued.full_clean()
        issued.save(force_insert=True, using=self.db)
        return issued, key


class ApiKey(models.Model):
    """A credential for programs. It is good while it is not revoked, not expired, and its owner is active."""

    name = models.CharField(max_length=100, validators=[ProhibitNullCharactersValidator()])
    prefix = models.CharField(max_length=PREFIX_LENGTH, unique=True, editable=False)
    key_hash = models.CharField("SHA-256", max_length=_HASH_LENGTH, unique=True, editable=False)
    scope = models.CharField(
        max_length=5,
        choices=[(scope.value, scope.value) for scope in KeyScope],
        default=KeyScope.READ.value,
        help_text="write includes read; a key never may more than its owner.",
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,  # a key that outlived its owner would be nobody's and so bound by nobody's rights
        related_name="api_keys",
        help_text="Empty for a key of the installation itself.",
    )
    tier = models.CharField(
        max_length=32, blank=True, choices=tier_choices, help_text="Empty: the tier every API key has."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: never.")
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    note = models.TextField(blank=True, max_length=1000, validators=[ProhibitNullCharactersValidator()])

    objects = ApiKeyManager()

    class Meta:
        verbose_name = "API key"
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.CheckConstraint(name="ratelimit_apikey_named", condition=~models.Q(name="")),
            models.CheckConstraint(
                name="ratelimit_apikey_prefix_whole", condition=Exact(Length("prefix"), PREFIX_LENGTH)
            ),
            models.CheckConstraint(
                name="ratelimit_apikey_hash_whole", condition=Exact(Length("key_hash"), _HASH_LENGTH)
            ),
            models.CheckConstraint(
                name="ratelimit_apikey_scope_known", condition=models.Q(scope__in=[scope.value for scope in KeyScope])
            ),
            models.CheckConstraint(
                name="ratelimit_apikey_expires_later",
                condition=models.Q(expires_at__isnull=True) | models.Q(expires_at__gt=models.F("created_at")),
                violation_error_message="A key must expire after it was made.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def scopes(self) -> frozenset[str]:
        """``read``, or ``read`` and ``write``."""
        return KeyScope(self.scope).included

    def revoke(self, at: datetime | None = None) -> None:
        """End it for good, in every process within 5 s; the moment of a first revocation stays."""
        if self.revoked_at is None:
            self.revoked_at = at or timezone.now()
            self.save(update_fields=["revoked_at"])

    def rotate(self, overlap: timedelta) -> tuple[ApiKey, str]:
        """Make its successor, which may what this one may and as long; the text exists nowhere else, as in ``issue``.

        This one is good for ``overlap`` more at the most. Raises ValidationError for a key that is revoked or expired.
        """
        now = timezone.now()
        if self.revoked_at is not None or (self.expires_at is not None and self.expires_at <= now):
            raise ValidationError("A key that is revoked or expired has no successor: make a new one.", code="ended")
        with transaction.atomic(using=self._state.db):
            issued, key = ApiKey.objects.db_manager(self._state.db).issue(
                name=self.name,
                scope=self.scope,
                owner=self.owner,
                tier=self.tier,
                note=self.note,
                expires_at=self.expires_at,
            )
            self.expires_at = min(now + overlap, self.expires_at or now + overlap)
            self.save(update_fields=["expires_at"])
        return issued, key


class TierAssignment(models.Model):
    """A user who has another tier than signed-in users have."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tier_assignment")
    tier = models.CharField(max_length=32, choices=tier_choices)
    note = models.TextField(blank=True, max_length=1000, validators=[ProhibitNullCharactersValidator()])
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [models.CheckConstraint(name="ratelimit_tierassignment_named", condition=~models.Q(tier=""))]

    def __str__(self) -> str:
        return f"{self.user}: {self.tier}"
