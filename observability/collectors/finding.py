"""Which collectors there are: the app's own, and those that OBSERVABILITY_COLLECTORS names."""

from __future__ import annotations

import inspect
from typing import Any

from django.utils.module_loading import import_string

from observability.errors import CollectorSettingError

_WANTED = "write the dotted path of a class or an object that has collect()."


def find_collector(path: str) -> Any:
    """The class or the object at ``path``; nothing is made. Raises CollectorSettingError where that is no collector."""
    try:
        found = import_string(path)
    except (Exception, SystemExit) as error:  # whatever a module does when it is imported, this entry alone is broken
        raise CollectorSettingError(path, f"importing it fails ({type(error).__name__}); {_WANTED}") from error
    if not callable(getattr(found, "collect", None)):
        raise CollectorSettingError(path, f"it has no collect(); {_WANTED}")
    if isinstance(found, type) and not _is_made_of_nothing(found):
        raise CollectorSettingError(path, "the class cannot be made without arguments; name an object of it.")
    return found


def _is_made_of_nothing(kind: type) -> bool:
    try:
        inspect.signature(kind).bind()
    except TypeError:
        return False
    except ValueError:  # a class written in C may have no signature; its making will tell
        return True
    return True
