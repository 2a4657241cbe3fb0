"""Lookups and code pools in the administration: words, rows, imports, and which code went to whom."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminFileFieldWidget

from profiles.lookups import authoring, usage
from profiles.lookups.codes import UnusableCode, stock_of
from profiles.lookups.columns import TYPES, FileProblem, Row, read_csv, types_of
from profiles.lookups.rows import ImportRefused
from profiles.models import Code, CodePool, Lookup

SHOWN = 50
SHOWN_PROBLEMS = 50


class TableForm(forms.Form):
    """A table as a file or as text."""

    file = forms.FileField(
        label=_("File"),
        required=False,
        widget=UnfoldAdminFileFieldWidget({"accept": ".csv,.txt,text/csv,text/plain"}),
    )
    text = forms.CharField(label=_("Or paste it here"), required=False, strip=False)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if (file := cleaned.get("file")) is not None:
            try:
                cleaned["text"] = file.read().decode("utf-8-sig")
            except UnicodeDecodeError:
                raise ValidationError(
                    _("The file is not in UTF-8. Save it as “CSV UTF-8” and upload it again.")
                ) from None
        if not cleaned.get("text", "").strip():
            raise ValidationError(_("There is nothing to import. Choose a file or paste the text."))
        return cleaned


class ColumnsField(forms.CharField):
    """A line for each column, its name and its type."""

    def prepare_value(self, value: Any) -> Any:
        return (
            "\n".join(f"{each['name']} {each['type']}" for each in value)
            if isinstance(value, list)
            else value
        )

    def clean(self, value: Any) -> list[dict[str, str]]:
        words = [line.split() for line in super().clean(value).splitlines() if line.strip()]
        for number, line in enumerate(words, start=1):
            if len(line) != 2:
                raise ValidationError(
                    _("Line %(n)d is no column. Write its name and its type, such as: price money")
                    % {"n": number}
                )
        return [{"name": name, "type": type_} for name, type_ in words]


class LookupForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's own takes no arguments when it runs
    columns = ColumnsField(
        label=_("Columns"),
        widget=forms.Textarea(attrs={"rows": 4, "class": "shell-input", "spellcheck": "false"}),
        help_text=_("One in a line: its name and its type. Types: %(types)s.") % {"types": ", ".join(TYPES)},
    )

    class Meta:
        model = Lookup
        fields = ("name", "key", "key_label", "description", "columns")

    def clean_columns(self) -> list[dict[str, str]]:
        columns: list[dict[str, str]] = self.cleaned_data["columns"]
        Lookup._meta.get_field("columns").run_validators(columns)
        return columns


class _Authored(ModelAdmin):
    """Its page is our own; every change goes through `authoring`, which writes the audit trail."""

    template = ""
    search_fields = ["name", "key"]
    prepopulated_fields = {"key": ["name"]}

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # rules and content name it

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if request.method not in {"GET", "HEAD"}:
            raise PermissionDenied
        return self.page(request, self.thing(request, int(object_id) if object_id.isdecimal() else 0))

    def thing(self, request: HttpRequest, pk: int, *, to_change: bool = False) -> Any:
        if not self.has_view_permission(request) or (to_change and not self.has_change_permission(request)):
            raise PermissionDenied
        return get_object_or_404(self.model, pk=pk)

    def page(
        self, request: HttpRequest, thing: Any, *, status: int = HTTPStatus.OK, **context: Any
    ) -> HttpResponse:
        found = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": thing.name,
            "original": thing,
            "thing": thing,
            "may_change": self.has_change_permission(request),
            "form": TableForm(),
            **self.shown(request, thing),
            **context,
        }
        return TemplateResponse(request, self.template, found, status=status)

    def shown(self, request: HttpRequest, thing: Any) -> dict[str, Any]:
        raise NotImplementedError

    def url(self, thing: Any) -> str:
        return reverse(f"admin:profiles_{self.opts.model_name}_change", args=[thing.pk])

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        return HttpResponseRedirect(self.url(obj))

    def door(self, route: str, view: Any, name: str) -> URLPattern:
        return path(
            f"<int:pk>/{route}/",
            self.admin_site.admin_view(require_POST(view)),
            name=f"profiles_{self.opts.model_name}_{name}",
        )


@admin.register(Lookup)
class LookupAdmin(_Authored):
    template = "admin/profiles/lookup/page.html"
    form = LookupForm
    list_display = ["name", "key", "shown_columns", "changed_at"]

    @display(description=_("Columns"))
    def shown_columns(self, lookup: Lookup) -> str:
        return ", ".join(column["name"] for column in lookup.columns) or "–"

    def save_model(self, request: HttpRequest, obj: Lookup, form: Any, change: bool) -> None:
        words = {name: form.cleaned_data[name] for name in ("key", "name", "key_label", "description")}
        made = authoring.create_lookup(columns=form.cleaned_data["columns"], user=request.user, **words)
        obj.pk = made.pk

    def get_urls(self) -> list[URLPattern]:
        return [
            self.door("import", self.import_rows, "import"),
            self.door("row", self.save_row, "row"),
            self.door("describe", self.describe, "describe"),
            *super().get_urls(),
        ]

    def shown(self, request: HttpRequest, thing: Any) -> dict[str, Any]:
        """A page of rows by key, from `?q=` on, and the row `?row=` to be edited."""
        begin = request.GET.get("q", "").strip().replace("\0", "")
        after = request.GET.get("after", "").replace("\0", "")
        rows = thing.rows.order_by("key")
        rows = rows.filter(key__startswith=begin) if begin else rows
        found = list((rows.filter(key__gt=after) if after else rows)[: SHOWN + 1])
        edited = thing.rows.filter(key=request.GET.get("row", "").replace("\0", "")).first()
        names = [column["name"] for column in thing.columns]
        return {
            "columns": thing.columns,
            "rows": [(row.key, [written(row.values.get(name)) for name in names]) for row in found[:SHOWN]],
            "next": found[SHOWN - 1].key if len(found) > SHOWN else "",
            "query": begin,
            "is_later": bool(after),
            "edited": edited,
            "typed_key": edited.key if edited else "",
            "cells": [
                (column, written(edited.values.get(column["name"])) if edited else "")
                for column in thing.columns
            ],
            "uses": usage.uses_of([thing.key]).get(thing.key, []),
            "describe_form": LookupForm(instance=thing),
        }

    def import_rows(self, request: HttpRequest, pk: int) -> HttpResponse:
        """All rows of a table or none, with what is wrong by line."""
        lookup = self.thing(request, pk, to_change=True)
        form = TableForm(request.POST, request.FILES)
        mode: authoring.Mode = "replace" if request.POST.get("mode") == "replace" else "merge"
        if form.is_valid():
            lines = form.cleaned_data["text"].splitlines(keepends=True)
            problems, count = self._import(
                request, lookup, read_csv(lines, types_of(lookup.columns)), mode, form=form
            )
            if not form.errors and not problems:
                return HttpResponseRedirect(self.url(lookup))
            context = {"problems": problems[:SHOWN_PROBLEMS], "problem_count": count}
        else:
            context = {}
        return self.page(
            request, lookup, form=form, mode=mode, status=HTTPStatus.UNPROCESSABLE_ENTITY, **context
        )

    def save_row(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Write one row, or take it out."""
        lookup = self.thing(request, pk, to_change=True)
        key = request.POST.get("key", "").strip()
        if request.POST.get("verb") == "remove":
            if authoring.remove_rows(lookup=lookup, keys=[key], now=timezone.now(), user=request.user):
                messages.success(request, gettext("The row “%(key)s” is gone.") % {"key": key})
            return HttpResponseRedirect(self.url(lookup))
        names = [column["name"] for column in lookup.columns]
        row = Row(1, key, {name: request.POST.get(f"value-{name}", "") for name in names})
        problems, _count = self._import(request, lookup, [row], "merge")
        if not problems:
            return HttpResponseRedirect(self.url(lookup))
        cells = [(column, row.values[column["name"]]) for column in lookup.columns]
        return self.page(
            request,
            lookup,
            row_problems=problems,
            cells=cells,
            typed_key=key,
            status=HTTPStatus.UNPROCESSABLE_ENTITY,
        )

    def _import(
        self,
        request: HttpRequest,
        lookup: Lookup,
        given: Iterable[Row],
        mode: authoring.Mode,
        *,
        form: TableForm | None = None,
    ) -> tuple[list[Any], int]:
        """What is wrong; what went well is told on the next page."""
        try:
            done = authoring.import_rows(
                lookup=lookup, given=given, mode=mode, now=timezone.now(), user=request.user
            )
        except ImportRefused as refused:
            return refused.problems, refused.count
        except FileProblem as error:
            assert form is not None
            form.add_error(None, str(error))
            return [], 0
        said = gettext("Imported: %(added)s rows are new, %(changed)s changed, %(removed)s are gone.")
        messages.success(request, said % done._asdict())
        return [], 0

    def describe(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Other words or columns."""
        lookup = self.thing(request, pk, to_change=True)
        form = LookupForm({**request.POST.dict(), "key": lookup.key}, instance=Lookup.objects.get(pk=pk))
        if not form.is_valid():
            return self.page(request, lookup, describe_form=form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
        asked = form.cleaned_data
        authoring.write_columns(
            lookup=lookup, columns=asked["columns"], now=timezone.now(), user=request.user
        )
        words = {name: asked[name] for name in ("name", "key_label", "description")}
        authoring.describe(thing=lookup, user=request.user, **words)
        messages.success(request, gettext("Saved."))
        return HttpResponseRedirect(self.url(lookup))


@admin.register(CodePool)
class CodePoolAdmin(_Authored):
    template = "admin/profiles/codepool/page.html"
    list_display = ["name", "key", "shown_free", "shown_taken"]
    fields = ["name", "key", "description", "low_water"]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Counts the codes of all pools of the page at once."""
        page = super().get_changelist_instance(request)
        stock = stock_of(page.result_list)
        for pool in page.result_list:
            pool.stock = stock[pool.pk]
        return page

    @display(description=_("Free"), label={"low": "warning", "enough": "success"})
    def shown_free(self, pool: Any) -> tuple[str, str]:
        return ("low" if pool.stock.free < pool.low_water else "enough"), f"{pool.stock.free:,}"

    @display(description=_("Given"))
    def shown_taken(self, pool: Any) -> str:
        return f"{pool.stock.taken:,}"

    def save_model(self, request: HttpRequest, obj: CodePool, form: Any, change: bool) -> None:
        obj.pk = authoring.create_pool(user=request.user, **form.cleaned_data).pk

    def get_urls(self) -> list[URLPattern]:
        return [
            self.door("import", self.import_codes, "import"),
            self.door("remove", self.remove_codes, "remove"),
            self.door("describe", self.describe, "describe"),
            *super().get_urls(),
        ]

    def shown(self, request: HttpRequest, thing: Any) -> dict[str, Any]:
        """The last codes that were given, or the one that `?q=` is."""
        query = request.GET.get("q", "").strip().replace("\0", "")
        codes = Code.objects.filter(pool_id=OuterRef("pool_id"), number=OuterRef("number"))
        taken: QuerySet[Any] = thing.taken.annotate(code=Subquery(codes.values("code")))
        if query:
            taken = taken.filter(number__in=thing.codes.filter(code=query).values("number"))
        stock = stock_of([thing])[thing.pk]
        return {
            "free": f"{stock.free:,}",
            "given": f"{stock.taken:,}",
            "is_low": stock.free < thing.low_water,
            "taken": list(taken.select_related("profile").order_by("-number")[:SHOWN]),
            "query": query,
            "is_known": bool(query) and thing.codes.filter(code=query).exists(),
        }

    def import_codes(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Add the codes of a file or a text, one in a line."""
        pool = self.thing(request, pk, to_change=True)
        form = TableForm(request.POST, request.FILES)
        if form.is_valid():
            try:
                done = authoring.import_codes(
                    pool=pool, given=form.cleaned_data["text"].splitlines(), user=request.user
                )
            except UnusableCode as error:
                form.add_error(None, str(error))
            else:
                said = gettext("%(added)s codes were added; %(repeated)s were there already.")
                messages.success(request, said % done._asdict())
                return HttpResponseRedirect(self.url(pool))
        return self.page(request, pool, form=form, status=HTTPStatus.UNPROCESSABLE_ENTITY)

    def remove_codes(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Take out the codes of a text that nobody was given, or all such codes."""
        pool = self.thing(request, pk, to_change=True)
        are_all = request.POST.get("which") == "all"
        given = request.POST.get("text", "").splitlines()
        try:
            removed = authoring.remove_codes(pool=pool, given=None if are_all else given, user=request.user)
        except UnusableCode as error:
            messages.error(request, str(error))
        else:
            messages.success(
                request,
                gettext("%(removed)s codes were taken out. Codes that were given stay.")
                % {"removed": removed},
            )
        return HttpResponseRedirect(self.url(pool))

    def describe(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Other words, or another low water."""
        pool = self.thing(request, pk, to_change=True)
        name, low_water = request.POST.get("name", "").strip()[:200], request.POST.get("low_water", "")
        if not name or not (low_water.isascii() and low_water.isdigit() and int(low_water[:11]) < 2**31):
            messages.error(
                request, gettext("A pool needs a name, and a number of codes below which it runs low.")
            )
        else:
            authoring.describe(
                thing=pool,
                user=request.user,
                name=name,
                description=request.POST.get("description", "").strip()[:10_000],
                low_water=int(low_water),
            )
            messages.success(request, gettext("Saved."))
        return HttpResponseRedirect(self.url(pool))


def written(value: Any) -> str:
    """A value of a row as people write it and an import reads it."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case {"amount": amount, "currency": currency}:
            return f"{amount} {currency}"
        case list():
            return " | ".join(map(str, value))
    return str(value)
