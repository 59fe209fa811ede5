"""How requests are read: as Django does, but whatever stands in Content-Type, text is UTF-8 and nothing breaks.

Django 5.2 takes the charset a client claims for decoding query strings too, and so ends with an error 500 where that is
no text encoding (``charset=hex``) or the header holds an unknown one (``x*=klingon''y``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from django.utils.http import parse_header_parameters


class _Utf8Text:
    content_type: str | None
    content_params: dict[str, str] | None

    def _set_content_type_params(self, meta: Mapping[str, Any]) -> None:
        try:
            self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))
        except ValueError:
            self.content_type, self.content_params = "", {}


class Utf8WSGIRequest(_Utf8Text, WSGIRequest):
    pass


class Utf8ASGIRequest(_Utf8Text, ASGIRequest):
    pass
