"""What the pages of offers share: one form for a new thing and for one that is there, saved by `offers.authoring`."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin

from offers.services import OfferRefused
from offers.usage import page_of


class Forms(Protocol):
    """What a page edits: a form, or several."""

    def is_valid(self) -> bool: ...

    def refuse(self, refused: OfferRefused) -> None: ...


class ThingAdmin(ModelAdmin):
    """A list and a page. Whoever may not change the thing sees the same page with its fields switched off."""

    page_template: ClassVar[str]
    actions = None

    # --- what a page tells of its thing --------------------------------------------------------------------------

    def forms_of(self, request: HttpRequest, thing: Any, data: Any = None) -> Forms:
        raise NotImplementedError

    def save(self, request: HttpRequest, thing: Any, forms: Any) -> Any:
        """Store it as the valid forms say; raises OfferRefused."""
        raise NotImplementedError

    def context_of(self, request: HttpRequest, thing: Any) -> dict[str, Any]:
        """What else the page of a stored thing shows."""
        return {}

    # --- doors ---------------------------------------------------------------------------------------------------

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # content, requests and past decisions name it

    def door(self, route: str, view: Any, name: str) -> URLPattern:
        return path(route, self.admin_site.admin_view(view), name=f"offers_{self.opts.model_name}_{name}")

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        return self._edit(request, self.model(), may_change=True)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        thing = self.thing(request, int(object_id) if object_id.isdecimal() and len(object_id) < 19 else 0)
        may_change = self.may_change(request, thing)
        if request.method == "POST" and not may_change:
            raise PermissionDenied
        return self._edit(request, thing, may_change=may_change)

    def may_change(self, request: HttpRequest, thing: Any) -> bool:
        return self.has_change_permission(request, thing)

    def thing(self, request: HttpRequest, pk: int) -> Any:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        return get_object_or_404(self.get_queryset(request), pk=pk)

    def _edit(self, request: HttpRequest, thing: Any, *, may_change: bool) -> HttpResponse:
        if request.method != "POST":
            return self.page(request, thing, self.forms_of(request, thing), may_change=may_change)
        forms = self.forms_of(request, thing, request.POST)
        if forms.is_valid():
            try:
                saved = self.save(request, self.model(pk=thing.pk) if thing.pk is None else thing, forms)
            except OfferRefused as refused:
                forms.refuse(refused)
            else:
                messages.success(request, _("Saved."))
                return HttpResponseRedirect(page_of(saved))
        if thing.pk:
            thing = self.thing(request, thing.pk)  # as it is stored: a refused save has changed this one
        return self.page(request, thing, forms, may_change=may_change)

    def page(self, request: HttpRequest, thing: Any, forms: Any, *, may_change: bool) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": thing.name if thing.pk else _("New %(noun)s") % {"noun": self.opts.verbose_name},
            "original": thing if thing.pk else None,
            "thing": thing,
            "is_new": not thing.pk,
            "forms": forms,
            "may_change": may_change,
            "check_url": reverse("admin:offers_offeritem_check"),
            **(self.context_of(request, thing) if thing.pk else {}),
        }
        return TemplateResponse(request, self.page_template, context)
