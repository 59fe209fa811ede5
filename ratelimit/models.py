"""Who may more than anybody: API keys, of which only a hash is kept, and users assigned to a tier."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import ProhibitNullCharactersValidator
from django.db import models, router, transaction
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
    rotated_at = models.DateTimeField(null=True, blank=True, editable=False)
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

    @property
    def state(self) -> Literal["active", "rotated", "expired", "inactive_owner", "revoked"]:
        """Whether it is good now: ``active``, or ``rotated`` while it still is beside its successor; else why not."""
        if self.revoked_at is not None:
            return "revoked"
        if self.owner is not None and not self.owner.is_active:
            return "inactive_owner"
        if self.expires_at is not None and self.expires_at <= timezone.now():
            return "expired"
        return "rotated" if self.rotated_at is not None else "active"

    def revoke(self, at: datetime | None = None) -> None:
        """End it for good, in every process within 5 s; the moment of a first revocation stays."""
        if self.revoked_at is None:
            self.revoked_at = at or timezone.now()
            self.save(update_fields=["revoked_at"])

    def rotate(self, overlap: timedelta) -> tuple[ApiKey, str]:
        """Make its successor, which may what this one may and as long; the text exists nowhere else, as in ``issue``.

        This one is good for ``overlap`` more at the most, and for 0 no more. A key has one successor, whoever asks at
        the same time: to go on, rotate that one. Raises ValidationError for a key that is revoked, expired or rotated.
        """
        if overlap < timedelta():
            raise ValidationError("An overlap cannot be negative.", code="overlap")
        now, alias = timezone.now(), router.db_for_write(ApiKey, instance=self)
        keys = ApiKey.objects.db_manager(alias)
        with transaction.atomic(using=alias):
            # The first statement writes, so that of two at once one waits for the other, in SQLite too.
            if not keys.filter(_unended(now), pk=self.pk, rotated_at=None).update(rotated_at=now):
                raise _why_not_rotated(keys.filter(pk=self.pk).first(), now)
            old = keys.get(pk=self.pk)
            copied = {name: getattr(old, name) for name in ("name", "scope", "owner_id", "tier", "note", "expires_at")}
            issued, key = keys.issue(**copied)
            if overlap:
                old.expires_at = min(now + overlap, old.expires_at or now + overlap)
            else:
                old.revoked_at = now
            old.save(update_fields=["expires_at", "revoked_at"])
        self.rotated_at, self.expires_at, self.revoked_at = old.rotated_at, old.expires_at, old.revoked_at
        return issued, key


def _unended(at: datetime) -> models.Q:
    return models.Q(revoked_at=None) & (models.Q(expires_at=None) | models.Q(expires_at__gt=at))


def _why_not_rotated(key: ApiKey | None, now: datetime) -> ValidationError:
    if key is None:
        return ValidationError("This key is no longer there.", code="gone")
    if key.revoked_at is not None:
        return ValidationError("This key is revoked. Make a new one.", code="revoked")
    if key.expires_at is not None and key.expires_at <= now:
        return ValidationError("This key has expired. Make a new one.", code="expired")
    return ValidationError("This key has been rotated already. Rotate its successor.", code="rotated")


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
