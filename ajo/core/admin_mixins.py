"""What the admin pages of all rooms share. Mix in before ModelAdmin or an inline."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from unfold.paginator import InfinitePaginator


class LookOnly:
    """Rows that the engine writes: nobody changes them by hand."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Large:
    """A table whose rows are never counted: a count would read them all."""

    paginator = InfinitePaginator
    show_full_result_count = False
    list_per_page = 50
    ordering = ["-id"]
