"""Whom the AWS SDK trusts."""

import pytest

from agent.edge.aws.session import _ca_bundle


def test_the_systems_own_authorities_are_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the file that is named, else by the system's, also where OpenSSL knows a directory alone (Ubuntu)."""
    assert _ca_bundle({"SSL_CERT_FILE": "/company.pem"}) == "/company.pem"
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")  # what OpenSSL's default is on Ubuntu: a file that is not there
    assert _ca_bundle({}) == "/etc/ssl/certs/ca-certificates.crt"
