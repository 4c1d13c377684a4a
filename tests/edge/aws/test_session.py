"""Tests of the certificates that the AWS SDK trusts."""

import pytest

from agent.edge.aws.session import ca_bundle


def test_trusts_the_system_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """It uses the file in SSL_CERT_FILE, else the system bundle, even if OpenSSL knows only a directory (Ubuntu)."""
    assert ca_bundle({"SSL_CERT_FILE": "/company.pem"}) == "/company.pem"
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")  # like OpenSSL's default on Ubuntu: a file that does not exist
    assert ca_bundle({}) == "/etc/ssl/certs/ca-certificates.crt"
