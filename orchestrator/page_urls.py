"""Addresses of the orchestrator's pages; included by the site without a name of their own."""

from django.urls import path, re_path

from orchestrator.pages import control, decisions, health, runs, workflows

VERBS = "pause|resume|activate|halt|run-now|pause-entries|resume-entries"

urlpatterns = [
    path("workflows/", workflows.workflows, name="workflows"),
    path("workflows/<int:pk>/", workflows.workflow, name="workflow"),
    path("workflows/<int:pk>/edit/", workflows.workflow_edit, name="workflow-edit"),
    path("workflows/<int:pk>/revert/", workflows.workflow_revert, name="workflow-revert"),
    re_path(
        rf"^workflows/(?P<number>[0-9]{{1,15}})/(?P<verb>{VERBS})/$",
        workflows.workflow_act,
        name="workflow-act",
    ),
    path("workflows/<slug:slug>/", workflows.by_slug, name="workflow-slug"),
    path("runs/", runs.runs, name="runs"),
    path("runs/<int:pk>/", runs.run, name="run"),
    path("decisions.csv", decisions.decisions_csv, name="decisions-csv"),
    path("decisions/", decisions.decisions, name="decisions"),
    path("decisions/<int:pk>/", decisions.decision, name="decision"),
    path("control/", control.control, name="control"),
    path("control/change/", control.control_change, name="control-change"),
    path("health/", health.health, name="health"),
    path("ui/control/dialog/", control.control_dialog, name="control-dialog"),
    path("ui/workflows/rows/", workflows.workflow_rows, name="workflow-rows"),
    path("ui/workflows/<int:pk>/header/", workflows.workflow_header, name="workflow-header"),
    path("ui/workflows/<int:pk>/preview/", workflows.workflow_preview, name="workflow-preview"),
    path("ui/runs/rows/", runs.run_rows, name="run-rows"),
    path("ui/decisions/rows/", decisions.decision_rows, name="decision-rows"),
    path("ui/health/", health.health_parts, name="health-parts"),
]
