"""The guard before every JSON document from outside: a cap on what it is made of, counted before anything is made."""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import Any

from harvester.errors import FetchError, FetchFailure

#: Strings, brackets, colons and commas. An entry of a feed has about fifty, and no more than MOST_ENTRIES are taken.
MAX_TOKENS = 600_000

# Each match ends where the next begins and nothing is given back, so the count is linear; it stops at the cap.
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{:,]', re.DOTALL)


def parse_json(document: str) -> Any:
    """The value. Raises FetchError: TOO_LARGE for more than MAX_TOKENS, MALFORMED for what is no JSON.

    A few bytes can make an object of a hundred, so the size of the document says little about what it takes in memory.
    """
    if sum(1 for _ in islice(_TOKEN.finditer(document), MAX_TOKENS + 1)) > MAX_TOKENS:
        raise FetchError(FetchFailure.TOO_LARGE, f"This JSON has more than {MAX_TOKENS:,} parts, so it is not read.")
    try:
        return json.loads(document)
    except (ValueError, RecursionError) as error:
        raise FetchError(FetchFailure.MALFORMED, "This begins like JSON but cannot be read as such.") from error
