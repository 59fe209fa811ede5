"""Keys and tiers in Django's own admin, with the live bucket on every row; loaded only where that admin is installed.

buckets      the buckets of one page, read at once and put into words
lists        what both lists share: their page's buckets, the reset, the confirmation, the log
keys         API keys: made, shown once, rotated, revoked
assignments  the tiers of users
"""

from ratelimit.admin import assignments, keys

__all__ = ["assignments", "keys"]
