"""No token goes to another of Google's clouds than the one that issued it, or that its audience names."""

import pytest

from agent.model.credential import GoogleIdentity
from agent.model.problem import ProblemError
from agent.model.problems.google import GoogleCredentialsMissing, GoogleError
from agent.settings import GoogleSettings
from tests.edge.google.conftest import EXTERNAL, Bench
from tests.fakecloud.faults import Answer
from tests.fakecloud.google import AUDIENCE, EMAIL, UNIVERSE
from tests.problems import raises_problem

PULL = "pull@acme.iam.gserviceaccount.com"
POOL = AUDIENCE.partition("/providers/")[0]


async def test_a_token_of_a_file_stays_in_the_cloud_that_issued_it(bench: Bench) -> None:
    """A service account in the secret is impersonated there too."""
    _, path = bench.subject()
    bench.google.may_impersonate.add((f"principal:{POOL}/subject/environment-1", PULL))
    universe = {"universe_domain": "s3nsapis.fr", "token_url": "https://sts.s3nsapis.fr/v1/token"}
    file = bench.file({**EXTERNAL, **universe, "credential_source": {"file": str(path)}})
    token = await bench.fetch(account=PULL, GOOGLE_APPLICATION_CREDENTIALS=str(file))
    assert token.identity == f"serviceAccount:{PULL}"
    assert bench.tunnel.asked == ["sts.s3nsapis.fr", "iamcredentials.s3nsapis.fr"]


async def test_an_identity_token_of_the_settings_goes_to_the_cloud_of_its_audience(bench: Bench) -> None:
    _, path = bench.subject()
    settings = GoogleSettings(AUDIENCE.replace("googleapis.com", "s3nsapis.fr"), PULL, path)
    # The simulated cloud has another audience. What matters is where the token went.
    with pytest.raises(ProblemError):
        await bench.fetch(settings)
    assert bench.tunnel.asked == ["sts.s3nsapis.fr"]


@pytest.mark.parametrize(
    ("named", "cloud"), [("s3nsapis.fr\n", "s3nsapis.fr"), ("", "googleapis.com"), (None, "googleapis.com")]
)
async def test_a_token_of_the_machine_stays_in_the_cloud_of_the_machine(
    bench: Bench, named: str | None, cloud: str
) -> None:
    """The metadata server names the cloud. An old one does not, or names none."""
    bench.google.universe = named
    bench.google.may_impersonate.add((EMAIL, PULL))
    assert (await bench.fetch(account=PULL)).identity == f"serviceAccount:{PULL}"
    assert bench.tunnel.asked == [f"iamcredentials.{cloud}"]


async def test_a_token_of_the_machine_goes_nowhere_while_its_cloud_is_not_known(bench: Bench) -> None:
    """Neither after a failure, nor to a domain that is not Google's. Its own login needs no name."""
    bench.google.universe = "evil.example"
    with raises_problem(GoogleCredentialsMissing, match=r"evil\.example"):
        await bench.fetch(account=PULL)
    bench.google.faults[UNIVERSE] = Answer(503)
    with raises_problem(GoogleError, match="503"):
        await bench.fetch(account=PULL)
    assert bench.tunnel.asked == []
    for account in (None, EMAIL):
        assert (await bench.fetch(account=account)).identity == EMAIL


async def test_the_cloud_of_the_machine_is_asked_for_once(bench: Bench) -> None:
    """It never changes, so a failure to name it later does not stop the next login."""
    bench.google.may_impersonate.add((EMAIL, PULL))
    client = bench.client()
    await client.fetch_token(GoogleIdentity(PULL), GoogleSettings())
    bench.google.faults[UNIVERSE] = Answer(503)
    token = await client.fetch_token(GoogleIdentity(PULL), GoogleSettings())
    assert token.identity == f"serviceAccount:{PULL}"
