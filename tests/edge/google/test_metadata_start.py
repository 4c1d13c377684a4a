"""The metadata server of a new GKE pod does not answer at first. That is an error only if it lasts."""

from dataclasses import replace

import pytest

from agent.model.credential import GoogleIdentity
from agent.model.problem import Needs, RetryClass, Severity
from agent.model.problems.google import GoogleCredentialsMissing, GoogleUnreachable
from agent.settings import GoogleSettings
from tests.edge.google.conftest import Bench
from tests.fakecloud.faults import Broken, Fault
from tests.fakes import FakeClock
from tests.problems import raises_problem

PLACES = r"google\.identity_token_file, GOOGLE_APPLICATION_CREDENTIALS, .*gcloud.*, the metadata server"


@pytest.mark.parametrize("fault", [Broken.RESET, Broken.SILENT, None], ids=str)
async def test_no_answer_for_thirty_seconds_is_an_error_and_names_all_places(bench: Bench, fault: Fault | None) -> None:
    """Before, it is a warning, and nobody needs to act."""
    if fault is None:  # nothing listens
        bench = replace(bench, metadata="127.0.0.1:1")
    else:
        bench.google.faults["metadata"] = fault
    clock = FakeClock()
    client = bench.client(timeout_s=0.5, now=clock.now)
    for seconds in (29, 1):
        with raises_problem(GoogleUnreachable, match=PLACES) as caught:
            await client.fetch_token(GoogleIdentity(), GoogleSettings())
        assert (caught.value.severity, caught.value.needs) == (Severity.WARNING, Needs.NOBODY)
        assert caught.value.retry_class is RetryClass.SOON
        await clock.advance(seconds)
    with raises_problem(GoogleCredentialsMissing, match=PLACES):
        await client.fetch_token(GoogleIdentity(), GoogleSettings())


async def test_a_server_that_has_answered_is_not_starting(bench: Bench) -> None:
    client = bench.client()
    await client.fetch_token(GoogleIdentity(), GoogleSettings())
    bench.google.faults["metadata"] = Broken.RESET
    with raises_problem(GoogleCredentialsMissing, match=PLACES):
        await client.fetch_token(GoogleIdentity(), GoogleSettings())


async def test_a_machine_without_a_metadata_server_is_reported_at_once(bench: Bench) -> None:
    """Outside of Google Cloud, its name does not resolve."""
    with raises_problem(GoogleCredentialsMissing, match="does not resolve"):
        await replace(bench, metadata="metadata.invalid").fetch()


async def test_a_clock_that_is_set_back_does_not_delay_the_error(bench: Bench) -> None:
    bench.google.faults["metadata"] = Broken.RESET
    clock = FakeClock()
    client = bench.client(now=clock.now)
    with raises_problem(GoogleUnreachable):
        await client.fetch_token(GoogleIdentity(), GoogleSettings())
    clock.jump(-3600)
    with raises_problem(GoogleCredentialsMissing):
        await client.fetch_token(GoogleIdentity(), GoogleSettings())
