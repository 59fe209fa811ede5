"""What an operator edits or looks into: Django's own admin, one file per noun, lists that cost the same at any size."""

from django.contrib import admin

from harvester.admin import artifacts, people, relationships, runs, sources

__all__ = ["artifacts", "people", "relationships", "runs", "sources"]

admin.site.site_header = "Signal Harvester"
admin.site.site_title = "Signal Harvester"
admin.site.index_title = "Administration"
