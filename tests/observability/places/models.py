"""The model."""

from __future__ import annotations

from django.db import models


class Place(models.Model):
    domain = models.CharField(max_length=100)
    name = models.CharField(max_length=50)

    class Meta:
        app_label = "places"

    def __str__(self) -> str:
        return self.name
