"""Problems with a registry: what it answers, or that it does not answer."""

from agent.model import hints
from agent.model.problem import Needs, Problem, RetryClass, Severity


class LoginRejected(Problem):
    code = "login_rejected"
    severity = Severity.ERROR
    # Docker Hub and others lock an account after a few wrong passwords.
    retry_class = RetryClass.REJECTED
    hint = "update the secret's user name or password; an access token may have expired or lack the right to read"


class LoginForbidden(Problem):
    code = "login_forbidden"
    severity = Severity.ERROR
    needs = Needs.ADMIN
    retry_class = RetryClass.REJECTED
    hint = (
        "ask the registry's administrator to let this account pull; an address allowlist or single sign-on may block it"
    )


class EcrTokenExpired(LoginForbidden):
    """ECR answered 403 because the token has expired.

    A new token fixes this at once. If the agent cannot get one, the owner of the secret must act.
    """

    needs = Needs.USER


class RegistryRefusedRequest(Problem):
    code = "registry_refused_request"
    severity = Severity.ERROR
    # The same request gets the same answer, and the password is in it each time.
    retry_class = RetryClass.REJECTED
    hint = "check the host name in the secret; on ECR the token is usually from another region: fix the secret's region"


class RegistryRateLimited(Problem):
    code = "registry_rate_limited"
    needs = Needs.NOBODY
    hint = "wait: the agent tries again after the time that the registry asks for"


class RegistryDns(Problem):
    code = "registry_dns"
    hint = (
        "check the host name in the secret for a typo; if `getent hosts HOST` finds nothing either, ask your network "
        "administrator"
    )


class RegistryUnreachable(Problem):
    code = "registry_unreachable"
    needs = Needs.ADMIN
    hint = (
        "run `curl https://HOST/v2/`; if it does not connect, ask your network administrator about the firewall and "
        "the proxy (HTTPS_PROXY)"
    )


class ProxySettingUnusable(RegistryUnreachable):
    # The proxy in the user's own variable cannot be used, or needs a login that is not there.
    needs = Needs.USER
    hint = hints.PROXY


class RegistryTls(Problem):
    code = "registry_tls"
    needs = Needs.ADMIN
    hint = (
        "save a private CA's certificate as /etc/docker/certs.d/HOST/ca.crt; if a proxy intercepts TLS, ask your "
        "network administrator for its CA and set SSL_CERT_FILE to it"
    )


class OwnCertificatesUnusable(RegistryTls):
    # A variable such as SSL_CERT_FILE names a CA file that cannot be used. The variable is the user's.
    needs = Needs.USER
    hint = hints.CA_VARIABLE


class RegistryTimeout(Problem):
    code = "registry_timeout"
    needs = Needs.NOBODY
    hint = (
        "wait: the agent tries again; if the problem persists, run `curl https://HOST/v2/` and send the result to "
        "your network administrator"
    )


class RegistryError(Problem):
    code = "registry_error"
    needs = Needs.NOBODY
    hint = "wait: the agent tries again; if the problem persists, contact the registry's administrator"


class NotARegistry(RegistryError):  # noqa: N818 - as Problem
    # Something else answers under the registry's name, such as a captive portal. Waiting does not fix that.
    needs = Needs.USER
