"""Host names as people type them, and which of them belong to ECR."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.model.registry import EcrHost, HostnameError, Registry, parse_hostname

HUB_KEY = "https://index.docker.io/v1/"
NO_NAME = "hostname is not a host name: use letters, digits, dots and hyphens, and optionally a port"


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        ("ghcr.io", "ghcr.io"),
        ("https://ghcr.io/", "ghcr.io"),
        ("http://ghcr.io/v2/", "ghcr.io"),
        ("  GHCR.IO\n", "ghcr.io"),
        ("ghcr.io/org/image:tag", "ghcr.io"),
        ("ghcr.io?x", "ghcr.io"),
        ("//ghcr.io", "ghcr.io"),
        ("https:/ghcr.io", "ghcr.io"),
        ("https:// ghcr.io /", "ghcr.io"),
        ("docker://ghcr.io", "ghcr.io"),
        ("ghcr.io.", "ghcr.io"),
        ("ghcr.io:", "ghcr.io"),
        ("Registry.Example.com:5000/v2/", "registry.example.com:5000"),
        ("http://registry.example.com:80", "registry.example.com:80"),
        ("registry.example.com:0443", "registry.example.com:443"),
        ("localhost:5000", "localhost:5000"),
        ("127.0.0.1:5000", "127.0.0.1:5000"),
        ("[::1]:5000", "[::1]:5000"),
        ("https://[2001:DB8::1]/v2/", "[2001:db8::1]"),
        ("my_registry:5000", "my_registry:5000"),
        ("docker.io", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("https://hub.docker.com/r/org", "docker.io"),
        ("https://app.docker.com/", "docker.io"),
        ("docker.com", "docker.io"),
        ("Docker.IO:443", "docker.io"),
    ],
)
def test_typed_names_become_canonical(typed: str, canonical: str) -> None:
    """Spaces, scheme and path are removed, the case is lowered, the port is kept, and Docker Hub has one name."""
    assert parse_hostname(typed).hostname == canonical


@pytest.mark.parametrize(
    "typed",
    [
        *("", "   ", "https://", "/v2/", "a b", "ghcr,io", "-ghcr.io", "ghcr..io", "ghcr.io..", "ghcr.io:0"),
        *("ghcr.io:65536", "ghcr.io:port", "a:1:2", "::1", "[::1", "[[::1]", "[::1]5000", "[ghcr.io]", "ghcr.io:٣"),
        *("ünï.example", f"{'a' * 64}.io", ".".join(["a" * 60] * 5), "ghcr.io\\v2", "$HOST"),
    ],
)
def test_an_invalid_host_name_is_refused(typed: str) -> None:
    """Docker cannot use it."""
    with pytest.raises(HostnameError):
        parse_hostname(typed)


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("https://", "hostname is empty"),
        ("https://bob:hunter2@ghcr.io", "hostname contains a user name; put it into the field username"),
        ("[hunter2]", "hostname has brackets, but no IPv6 address in them"),
        ("hunter2!:1", NO_NAME),
        (f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 62}", NO_NAME),
        ("ghcr.io:hunter2", "hostname has a port that is not a number from 1 to 65535"),
        ("ghcr.io:000443", "hostname has a port that is not a number from 1 to 65535"),
    ],
)
def test_a_refused_host_name_gets_the_reason_and_is_not_shown(typed: str, reason: str) -> None:
    """It may contain a password."""
    with pytest.raises(HostnameError) as caught:
        parse_hostname(typed)
    assert str(caught.value) == reason


def test_the_longest_names_and_ports_are_accepted() -> None:
    """The limits are those of DNS and TCP."""
    longest = f"{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 61}"
    for name in (longest, "ghcr.io:65535", "ghcr.io:1", "a", "0:1"):
        assert parse_hostname(name).hostname == name


@given(st.text(max_size=80))
@example("[::1%hunter2]:1")
@example("https://https://a")
def test_any_text_is_a_stable_name_or_a_hostname_error(text: str) -> None:
    """Parsing a canonical name returns the same name. No other exception is raised."""
    try:
        registry = parse_hostname(text)
    except HostnameError:
        return
    assert parse_hostname(registry.hostname) == registry
    assert parse_hostname(f" https://{registry.hostname.upper()}/v2/ ") == registry
    assert registry.port is None or registry.hostname.endswith(f":{registry.port}")


def test_docker_hub_has_the_key_that_docker_looks_up() -> None:
    """Docker finds a Docker Hub login only under this key. The API is on another host."""
    hub = parse_hostname("docker.io")
    assert (hub.docker_key, hub.api_host, hub.host, hub.port) == (
        HUB_KEY,
        "registry-1.docker.io",
        "registry-1.docker.io",
        None,
    )
    other = parse_hostname("https://[::1]:5000/")
    assert (other.docker_key, other.api_host, other.host, other.port) == ("[::1]:5000", "[::1]:5000", "::1", 5000)


ACCOUNT = "123456789012"


@pytest.mark.parametrize(
    ("hostname", "region"),
    [
        (f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1"),
        (f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com:443", "eu-west-1"),
        (f"{ACCOUNT}.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        (f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        (f"{ACCOUNT}.dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
        (f"{ACCOUNT}.dkr.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
        (f"{ACCOUNT}.dkr.ecr.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1"),
        (f"{ACCOUNT}.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk", "eu-isoe-west-1"),
        (f"{ACCOUNT}.dkr.ecr.us-isof-south-1.csp.hci.ic.gov", "us-isof-south-1"),
        (f"{ACCOUNT}.dkr-ecr.eu-west-1.on.aws", "eu-west-1"),
        (f"{ACCOUNT}.dkr-ecr-fips.us-east-1.on.aws", "us-east-1"),
        (f"{ACCOUNT}.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", "cn-north-1"),
    ],
)
def test_ecr_hosts_of_all_partitions_are_recognized(hostname: str, region: str) -> None:
    """Also FIPS and dual-stack names."""
    assert parse_hostname(f"https://{hostname.upper()}/").ecr == EcrHost(region, public=False)


@pytest.mark.parametrize("hostname", ["public.ecr.aws", "ecr-public.aws.com"])
def test_ecr_public_is_recognized_by_both_names(hostname: str) -> None:
    """Both need a token from us-east-1."""
    assert parse_hostname(hostname).ecr == EcrHost("us-east-1", public=True)


@pytest.mark.parametrize(
    "hostname",
    [
        f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
        f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com.attacker.io",
        f"evil.{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com",
        f"{ACCOUNT}1.dkr.ecr.eu-west-1.amazonaws.com",
        f"{ACCOUNT}.dkr.ecr.eu-west-1.evil.amazonaws.com",
        f"{ACCOUNT}.dkr.ecr.eu-west-1xamazonaws.com",
        f"{ACCOUNT}.dkr-ecr.eu-west-1.amazonaws.com",
        "public.ecr.aws.evil.example",
        "evil-public.ecr.aws",
        "api.ecr.eu-west-1.amazonaws.com",
        "ghcr.io",
    ],
)
def test_a_similar_host_name_is_not_ecr(hostname: str) -> None:
    """So no token is sent there."""
    assert parse_hostname(hostname).ecr is None


@pytest.mark.parametrize(
    "hostname",
    [
        "europe-west1-docker.pkg.dev",
        "us-docker.pkg.dev:443",
        "docker.europe-west1.rep.pkg.dev",
        "gcr.io",
        "eu.gcr.io",
        "docker.s3nsregistry.fr",
    ],
)
def test_a_registry_of_google_is_recognized(hostname: str) -> None:
    """However people type it, and with a port."""
    assert parse_hostname(f"https://{hostname.upper()}/v2/").is_google
    assert not parse_hostname(hostname).is_azure


@pytest.mark.parametrize(
    "hostname",
    [
        "europe-west1-docker.pkg.dev.evil.example",
        "evil.europe-west1-docker.pkg.dev",
        "europe-west1-npm.pkg.dev",
        "docker.pkg.dev",
        "docker.evil.europe-west1.rep.pkg.dev",
        "gcr.io.evil.example",
        "evilgcr.io",
        "a.eu.gcr.io",
        "eu-gcr.io",
        "docker.s3nsregistry.fr.evil.example",
    ],
)
def test_a_similar_host_name_is_not_google(hostname: str) -> None:
    """So no token is sent there."""
    assert not parse_hostname(hostname).is_google


@pytest.mark.parametrize(
    "hostname",
    [
        "acmedev.azurecr.io",
        "acmedev.azurecr.io:443",
        "acmedev-a1b2c3d4.azurecr.io",
        "acmedev.westeurope.geo.azurecr.io",
        "acmedev.azurecr.cn",
        "acmedev.azurecr.us",
    ],
)
def test_a_registry_of_azure_is_recognized(hostname: str) -> None:
    """However people type it, and with a port."""
    assert parse_hostname(f"https://{hostname.upper()}/").is_azure
    assert not parse_hostname(hostname).is_google


@pytest.mark.parametrize(
    "hostname",
    [
        "acmedev.azurecr.io.evil.example",
        "evil.acmedev.azurecr.io",
        "acmedev.azurecr.com",
        "acmedevazurecr.io",
        "acme.azurecr.io",
        "azurecr.io",
        "acmedev.westeurope.data.azurecr.io",
        "mcr.microsoft.com",
    ],
)
def test_a_similar_host_name_is_not_azure(hostname: str) -> None:
    """So no token is sent there. Names are at least five letters, and layers come from hosts that need no login."""
    assert not parse_hostname(hostname).is_azure


def test_a_registry_prints_as_its_name() -> None:
    """Messages rely on this."""
    assert f"{Registry('ghcr.io')}" == "ghcr.io"
