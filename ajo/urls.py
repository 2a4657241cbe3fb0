"""Every address of the product except `/v1/…` and `/t/…`, which `ajo.wsgi` answers before Django."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from ajo import report_pages, views
from channels.admin.suppressions import suppressions
from offers.admin.simulate import simulate_view

handler500 = "ajo.views.server_error"
urlpatterns = [
    path("", views.home, name="home"),
    path("healthz", views.healthz, name="healthz"),
    path("docs/", views.docs_index, name="docs-index"),
    path("docs/<slug:slug>/", views.docs_page, name="docs-page"),
    path("mailbox/", include("ajo.urls_mailbox")),
    path("u/", include("channels.tracking.urls")),
    path("callbacks/", include("channels.inbound.urls")),
    path("api/v1/", include("ajo.api.urls")),
    path("notices/", include("ajo.notices.urls")),
    path("admin/login/", views.sign_in),
    path("admin/password_change/", admin.site.admin_view(views.password_change)),
    path("admin/account/", admin.site.admin_view(views.account), name="account"),
    path("admin/channels/suppression/", admin.site.admin_view(suppressions), name="suppressions"),
    path("admin/offers/simulate/", admin.site.admin_view(simulate_view), name="offers-simulate"),
    path("admin/reports/", admin.site.admin_view(report_pages.overview), name="reports"),
    path(
        "admin/reports/journeys/<slug:key>/",
        admin.site.admin_view(report_pages.journey_report),
        name="report-journey",
    ),
    path(
        "admin/reports/campaigns/<slug:key>/",
        admin.site.admin_view(report_pages.campaign_report),
        name="report-campaign",
    ),
    path(
        "admin/reports/campaigns/<slug:key>/runs/<int:number>/",
        admin.site.admin_view(report_pages.run_report),
        name="report-run",
    ),
    path(
        "admin/reports/offers/<slug:key>/",
        admin.site.admin_view(report_pages.offer_report),
        name="report-offer",
    ),
    path(
        "admin/reports/of/<int:cause>/<int:origin>/",
        admin.site.admin_view(report_pages.report_of),
        name="report-of",
    ),
    path("admin/", admin.site.urls),
]
