"""Which views are exempt, and from when on."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.test import AsyncClient, RequestFactory
from django.urls import path, register_converter
from django.urls.converters import IntConverter
from django.views import View

import ratelimit
from ratelimit import exempt
from ratelimit.exemptions import is_exempt

FOLDER = Path(ratelimit.__file__).parent.parent
VIEWS = """
from django.http import HttpResponse
from ratelimit import exempt

@exempt
def probe(request):
    return HttpResponse("alive")

def other(request):
    return HttpResponse("fine")
"""
URLS = """
from django.urls import path, register_converter
from django.urls.converters import IntConverter
from project_views import other, probe

urlpatterns = [path("probe", probe), path("other", other)]
"""
PROJECT = """
import django
from django.conf import settings
from django.test import Client

settings.configure(
    SECRET_KEY="of a project", ROOT_URLCONF={root!r}, ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "ratelimit"],
    MIDDLEWARE=[*{before!r}, "ratelimit.middleware.RateLimitMiddleware"],
    DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}},
    RATELIMIT_TIERS={{"anonymous": {{"limit": 1, "window_seconds": 3600}}}},
)
django.setup()
client = Client()
"""


def report(request: HttpRequest) -> HttpResponse:
    return HttpResponse("report")


async def report_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse("report")


@exempt
class Health(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("alive")


class Orders(Health):
    pass


class Reports:
    def __call__(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("report")

    def bound(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("report")

    @exempt
    def free(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("report")


def counted(view: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(view)
    def counting(*arguments: Any, **named: Any) -> Any:
        return view(*arguments, **named)

    return counting


class FickleConverter(IntConverter):
    """One that asks something that may be away."""

    is_away = False

    def to_python(self, value: str) -> int:
        if self.is_away:
            raise ConnectionError("away")
        return super().to_python(value)


register_converter(FickleConverter, "fickle")
REPORTS = Reports()
urlpatterns = [
    path("report", report),
    path("free/report", exempt(report)),
    path("report-async", report_async),
    path("free/report-async", exempt(report_async)),
    path("report-object", REPORTS),
    path("free/report-object", exempt(REPORTS)),
    path("report-bound", REPORTS.bound),
    path("free/report-bound", exempt(REPORTS.bound)),
    path("free/report-method", REPORTS.free),
    path("free/health", Health.as_view()),
    path("free/health-decorated", counted(Health.as_view())),
    path("free/orders", exempt(Orders.as_view())),
    path("free/decorated", counted(login_not_required(exempt(report)))),
    path("orders", Orders.as_view()),
    path("sometimes/<fickle:number>", exempt(report)),
    path("long/<path:rest>", exempt(report)),
]
FREE = [str(route.pattern) for route in urlpatterns if str(route.pattern).startswith("free/")]
LIMITED = ["report", "report-async", "report-object", "report-bound", "orders"]


@pytest.fixture
def here(settings: Any) -> Any:
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = []
    return settings


def asked(place: str) -> bool:
    request = RequestFactory().get("/")  # not the place itself, which the factory's parser would remember
    request.path = request.path_info = f"/{place}"
    return is_exempt(request)


def printed(folder: Path, code: str, root: str = "project_urls", before: tuple[str, ...] = ()) -> str:
    """What a fresh process prints, in which nothing of a project's views has been imported."""
    (folder / "project_views.py").write_text(VIEWS)
    (folder / "project_urls.py").write_text(URLS)
    done = subprocess.run(
        [sys.executable, "-c", PROJECT.format(root=root, before=before) + code],
        cwd=folder,
        env={"PYTHONPATH": f"{folder}:{FOLDER}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --- before anything has imported the views ---------------------------------------------------------------------------


def test_the_first_request_to_an_exempt_view_is_exempt(tmp_path: Path) -> None:
    code = 'print(client.get("/probe").has_header("X-RateLimit-Limit"), client.get("/other").status_code)'
    assert printed(tmp_path, code) == "False 200"


def test_a_client_without_tokens_reaches_an_exempt_view_in_a_new_process(tmp_path: Path) -> None:
    code = """
from ratelimit import get_rate_limiter
from ratelimit.identity.identities import address_identity
get_rate_limiter().check(address_identity("127.0.0.1"))
print(client.get("/probe").status_code, client.get("/other").status_code)
"""
    assert printed(tmp_path, code) == "200 429"


def test_views_of_a_request_s_own_urls_are_exempt_from_the_first_on(tmp_path: Path) -> None:
    (tmp_path / "plain_urls.py").write_text("urlpatterns = []\n")
    (tmp_path / "by_host.py").write_text(
        "def choose(get_response):\n"
        "    def chosen(request):\n"
        "        request.urlconf = 'project_urls'\n"
        "        return get_response(request)\n"
        "    return chosen\n"
    )
    code = 'print([client.get("/probe").status_code for _ in range(3)], client.get("/other").status_code)'
    assert printed(tmp_path, code, "plain_urls", ("by_host.choose",)) == "[200, 200, 200] 200"


def test_urls_that_cannot_be_loaded_leave_requests_limited(tmp_path: Path) -> None:
    (tmp_path / "broken_urls.py").write_text("raise RuntimeError('not today')\n")
    code = """
try:
    client.get("/probe")
except RuntimeError:
    print("as without the limiter,", Client().get("/probe").status_code)
"""
    assert printed(tmp_path, code, "broken_urls") == "as without the limiter, 429"


# --- what a mark is on ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("place", FREE)
def test_a_marked_view_is_exempt(place: str) -> None:
    assert asked(place)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("place", LIMITED)
def test_what_a_marked_view_was_made_of_or_derives_from_it_is_limited(place: str) -> None:
    assert not asked(place)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("place", FREE)
def test_a_marked_view_answers_as_it_did(place: str) -> None:
    async def get() -> HttpResponseBase:
        return await AsyncClient().get(f"/{place}")

    assert asyncio.run(get()).status_code == 200


def test_a_marked_view_is_as_async_as_it_was() -> None:
    assert [iscoroutinefunction(exempt(view)) for view in (report, report_async)] == [False, True]
    assert exempt(report).__name__ == "report"


# --- what is remembered -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
def test_a_failure_is_not_remembered(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(FickleConverter, "is_away", True)
    assert not asked("sometimes/1")
    assert "so that it is limited" in caplog.text
    monkeypatch.setattr(FickleConverter, "is_away", False)
    assert asked("sometimes/1")


@pytest.mark.usefixtures("here")
def test_long_paths_are_exempt_and_take_no_memory() -> None:
    assert asked("long/way")
    tracemalloc.start()
    try:
        for number in range(100):
            assert asked(f"long/{number}/" + 60_000 * "x")
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_translated_path_is_exempt_in_its_language_only(tmp_path: Path) -> None:
    """In a process of its own: Django decides once in each whether it translates."""
    (tmp_path / "translated_urls.py").write_text(
        "from django.urls import path\n"
        "from django.utils.translation import gettext_lazy\n"
        "from project_views import probe\n"
        "urlpatterns = [path(gettext_lazy('Monday'), probe)]\n"
    )
    code = """
from django.test import RequestFactory
from django.utils.translation import override
from ratelimit.exemptions import is_exempt
for language in ("en", "de", "en"):
    with override(language):
        print(*(is_exempt(RequestFactory().get(place)) for place in ("/Monday", "/Montag")), end=" ")
"""
    assert printed(tmp_path, code, "translated_urls") == "True False False True True False"
