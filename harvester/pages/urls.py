"""The addresses of the pages; none ends in a slash."""

from __future__ import annotations

from django.urls import path

from harvester.pages.about import api_page, score_page
from harvester.pages.account import SignIn, SignOut
from harvester.pages.artifacts import artifact_page
from harvester.pages.discoveries import discoveries_page
from harvester.pages.files import favicon, robots
from harvester.pages.runs import harvest, run_page, runs_page
from harvester.pages.sources import pause, resume, sources_page

urlpatterns = [
    path("", discoveries_page, name="discoveries"),
    path("artifacts/<int:artifact_id>", artifact_page, name="artifact"),
    path("sources", sources_page, name="sources"),
    path("sources/<int:source_id>/pause", pause, name="source-pause"),
    path("sources/<int:source_id>/resume", resume, name="source-resume"),
    path("runs", runs_page, name="runs"),
    path("runs/<int:run_id>", run_page, name="run"),
    path("harvest", harvest, name="harvest"),
    path("about/score", score_page, name="about-score"),
    path("about/api", api_page, name="about-api"),
    path("account/sign-in", SignIn.as_view(), name="sign-in"),
    path("account/sign-out", SignOut.as_view(), name="sign-out"),
    path("favicon.ico", favicon),
    path("robots.txt", robots),
]
