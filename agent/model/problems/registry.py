"""What a registry answers, or does not."""

from agent.model.problem import Needs, Problem, RetryClass, Severity

# What the registry said


class LoginRejected(Problem):
    code = "login_rejected"
    severity = Severity.ERROR
    retry_class = RetryClass.REJECTED
    hint = "update the secret's user name or password; an access token may have expired or lack the right to read"


class LoginForbidden(Problem):
    code = "login_forbidden"
    severity = Severity.ERROR
    needs = Needs.ADMIN
    retry_class = RetryClass.REJECTED
    hint = (
        "ask the registry's administrator to let this account pull; an address list or single sign-on may keep it out"
    )


class EcrTokenExpired(LoginForbidden):
    """ECR's 403 for a token past its time, which a new token mends at once; where it does not, its owner must act."""

    needs = Needs.USER


class RegistryRefusedRequest(Problem):
    code = "registry_refused_request"
    severity = Severity.ERROR
    retry_class = RetryClass.REJECTED
    hint = (
        "check the host name in the secret; on ECR this is most often a token of another region: correct the "
        "secret's region"
    )


class RegistryRateLimited(Problem):
    code = "registry_rate_limited"
    needs = Needs.NOBODY
    hint = "nothing to do: the agent waits as long as the registry asked and tries again"


class RegistryDns(Problem):
    code = "registry_dns"
    hint = (
        "check the host name in the secret for a typing error; if `getent hosts HOST` finds nothing either, "
        "ask the network's administrator"
    )


class RegistryUnreachable(Problem):
    code = "registry_unreachable"
    needs = Needs.ADMIN
    hint = (
        "see whether `curl https://HOST/v2/` connects; if not, ask the network's administrator about "
        "firewall and proxy (HTTPS_PROXY)"
    )


class RegistryTls(Problem):
    code = "registry_tls"
    needs = Needs.ADMIN
    hint = (
        "if the registry has a private CA, get the CA's certificate from its administrator and save it as "
        "/etc/docker/certs.d/HOST/ca.crt"
    )


class RegistryTimeout(Problem):
    code = "registry_timeout"
    needs = Needs.NOBODY
    hint = (
        "nothing to do at first: the agent tries again; if it lasts, see whether `curl https://HOST/v2/` "
        "answers and tell the network's administrator"
    )


class RegistryError(Problem):
    code = "registry_error"
    needs = Needs.NOBODY
    hint = "nothing to do at first: the agent tries again; if it lasts, tell the registry's administrator"


class NotARegistry(RegistryError):  # noqa: N818 - as Problem
    """Somebody else answers under its name, and waiting mends nothing."""

    needs = Needs.USER
