"""A person who signs in."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser

from harvester.models.counted import CountedUser


class User(CountedUser, AbstractUser):
    """Our own user model from the first migration, so that it can grow without a painful swap."""

    class Meta(AbstractUser.Meta):
        pass
