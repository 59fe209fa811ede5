"""Signing in and out; accounts are made by an operator."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpResponse

from harvester.pages.posts import SeeOther


class SignInForm(AuthenticationForm):
    """Django's, in our words. One sentence for every reason, so that it tells nothing about who has an account."""

    error_messages = {
        "invalid_login": "This user name and password do not belong together. Mind capitals.",
        "inactive": "This user name and password do not belong together. Mind capitals.",
    }


class SignIn(LoginView):
    """422 with the form for a wrong password; else 303 to where the visitor came from, if that is here."""

    template_name = "account/sign_in.html"
    authentication_form = SignInForm
    extra_context = {"here": "sign-in"}

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        super().form_valid(form)
        return SeeOther(self.get_success_url())

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        return self.render_to_response(self.get_context_data(form=form), status=422)


class SignOut(LogoutView):
    """POST only, so that no foreign page can sign anybody out."""

    def post(self, *args: Any, **kwargs: Any) -> HttpResponse:
        super().post(*args, **kwargs)
        return SeeOther(self.get_success_url())
