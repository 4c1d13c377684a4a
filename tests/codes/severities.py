"""The warning codes and their severities, repeated here on purpose, so that tests notice a change."""

from typing import Final

_ERROR: Final = frozenset({"error"})
_WARNING: Final = frozenset({"warning"})
_NOTICE: Final = frozenset({"notice"})

SEVERITIES: Final = {
    "docker_cli_missing": _WARNING,
    "docker_cli_failed": _WARNING,
    "aws_cli_missing": _NOTICE,
    "engine_unreachable": _NOTICE,
    "engine_forbidden": _WARNING,
    "engine_unresponsive": _WARNING,
    "settings_invalid": _NOTICE | _ERROR,
    "status_listen_failed": _WARNING,
    "state_unusable": _NOTICE | _WARNING,
    "secret_invalid": _WARNING,
    "secret_shadowed": _NOTICE,
    "secret_hostname": _NOTICE,
    "secrets_unavailable": _WARNING,
    "native_unsupported": _WARNING,
    "token_not_renewable": _NOTICE,
    "login_rejected": _ERROR,
    "login_forbidden": _ERROR,
    "registry_refused_request": _ERROR,
    "registry_rate_limited": _WARNING,
    "registry_dns": _WARNING,
    "registry_unreachable": _WARNING,
    "registry_tls": _WARNING,
    "registry_timeout": _WARNING,
    "registry_error": _WARNING,
    "aws_credentials_missing": _ERROR,
    "aws_access_denied": _ERROR,
    "aws_identity_rejected": _ERROR,
    "aws_identity_unavailable": _WARNING,
    "aws_throttled": _WARNING,
    "aws_unreachable": _WARNING,
    "aws_error": _WARNING,
    "clock_skew": _ERROR,
    "google_credentials_missing": _ERROR,
    "google_access_denied": _ERROR,
    "google_throttled": _WARNING,
    "google_unreachable": _WARNING,
    "google_error": _WARNING,
    "azure_credentials_missing": _ERROR,
    "azure_access_denied": _ERROR,
    "azure_throttled": _WARNING,
    "azure_unreachable": _WARNING,
    "azure_error": _WARNING,
    "credential_command_failed": _WARNING | _ERROR,
    "renewal_failing": _WARNING | _ERROR,
    "token_expired": _ERROR,
    "config_invalid": _ERROR,
    "config_unwritable": _ERROR,
    "credential_store_failed": _ERROR,
    "helper_unavailable": _WARNING,
    "login_overridden": _WARNING | _NOTICE,
    "login_restored": _NOTICE,
    "report_failed": _NOTICE,
}
"""Each code with its possible severities."""

STAYS: Final = frozenset({"login_restored"})
"""Codes of problems that are already fixed when they are reported. They are shown for ten minutes."""

NEEDS: Final = frozenset({"user", "admin", "nobody"})
