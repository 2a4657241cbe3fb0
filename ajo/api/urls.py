from __future__ import annotations

from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from ajo.api import people, reports, views

urlpatterns = [
    # The split view keeps its script in a request of its own, so no page of ours has an inline script.
    path(
        "",
        SpectacularSwaggerSplitView.as_view(url_name="api-schema", template_name="api/docs.html"),
        name="api-docs",
    ),
    path("schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("status/", views.StatusView.as_view(), name="api-status"),
    path("profiles/<int:profile_id>/timeline/", people.TimelineView.as_view(), name="api-profile-timeline"),
    path("messages/<int:message_id>/source/", people.MessageSourceView.as_view(), name="api-message-source"),
    path("reports/overview/", reports.OverviewReportView.as_view(), name="api-report-overview"),
    path("reports/journeys/<slug:key>/", reports.JourneyReportView.as_view(), name="api-report-journey"),
    path("reports/campaigns/<slug:key>/", reports.CampaignReportView.as_view(), name="api-report-campaign"),
    path(
        "reports/campaigns/<slug:key>/runs/<int:number>/",
        reports.RunReportView.as_view(),
        name="api-report-run",
    ),
    path("reports/offers/<slug:key>/", reports.OfferReportView.as_view(), name="api-report-offer"),
    path("", include("profiles.api.urls")),
    path("", include("channels.api.urls")),
    path("", include("journeys.api.urls")),
    path("", include("offers.api.urls")),
    path("", include("campaigns.api.urls")),
    re_path("", views.NothingView.as_view()),
]
