"""Secrets that appear at run time are masked from then on."""

import asyncio
import tracemalloc
from collections.abc import Iterable
from contextlib import suppress

import pytest

from agent.model.sensitive import Sensitive
from agent.observe.redaction import MASK, LearnedSecrets, Scrubber
from tests.rig.growth import assert_linear


@pytest.fixture
def scrubber() -> Scrubber:
    return Scrubber()


@pytest.fixture
def learned(scrubber: Scrubber) -> LearnedSecrets:
    return LearnedSecrets(scrubber)


def shown(scrubber: Scrubber, values: Iterable[str]) -> list[str]:
    return [value for value in values if value in scrubber.scrub(f"it said {value} to me")]


def test_a_learned_secret_is_masked_as_well_as_those_of_other_owners(
    scrubber: Scrubber, learned: LearnedSecrets
) -> None:
    """One that no source gave stays masked for good."""
    scrubber.protect(["of-a-secret-file"])
    learned(Sensitive("learned-token"))
    learned.retain([])
    learned.retain([])
    assert scrubber.scrub("learned-token of-a-secret-file") == f"{MASK} {MASK}"


def test_every_secret_in_use_is_masked_however_many_sources_there_are(
    scrubber: Scrubber, learned: LearnedSecrets
) -> None:
    """Each source is asked once, in turn, and none of their passwords is forgotten for a newer one."""
    passwords = [f"{number}-Password-{number}" for number in range(300)]
    for number, password in enumerate(passwords):
        learned.of(number, Sensitive(password))
    learned.of(7, Sensitive("a-new-Password"))
    assert shown(scrubber, [*passwords, "a-new-Password"]) == []


def test_a_source_keeps_the_secrets_of_its_last_two_tokens(scrubber: Scrubber, learned: LearnedSecrets) -> None:
    """A message may still repeat the one before. The same token again does not count as another secret."""
    for value in ("first-token", "second-token", "second-token", "third-token"):
        learned.of("source", Sensitive(value))
    assert shown(scrubber, ["first-token", "second-token", "third-token"]) == ["first-token"]


def test_failed_attempts_do_not_make_a_source_forget_its_token(scrubber: Scrubber, learned: LearnedSecrets) -> None:
    """Each attempt may learn something new, such as a key that the cloud rejects. The last two of these stay too."""
    learned.of("source", Sensitive("token-in-use"))
    rejected = [f"rejected-key-{number}" for number in range(9)]
    for key in rejected:
        with suppress(OSError), learned.asking("source"):
            learned(Sensitive(key))
            raise OSError
    assert shown(scrubber, ["token-in-use", *rejected]) == rejected[:-2]


def test_the_secrets_of_a_source_are_forgotten_one_plan_after_it_is_gone(
    scrubber: Scrubber, learned: LearnedSecrets
) -> None:
    """A login with its last token may still be running when the plan changes."""
    learned.of("stays", Sensitive("token-that-stays"))
    learned.of("goes", Sensitive("token-that-goes"))
    learned.retain(["stays", "goes"])
    learned.retain(["stays"])
    assert shown(scrubber, ["token-that-stays", "token-that-goes"]) == []
    learned.retain(["stays"])
    assert shown(scrubber, ["token-that-stays", "token-that-goes"]) == ["token-that-goes"]


async def test_sources_that_are_asked_at_the_same_time_keep_their_own_secrets(
    scrubber: Scrubber, learned: LearnedSecrets
) -> None:
    """Also what a task learns that was started for one of them."""

    async def ask(source: str) -> None:
        with learned.asking(source):
            await asyncio.create_task(learn(f"key-of-{source}"))
            await learn(f"token-of-{source}")

    async def learn(value: str) -> None:
        await asyncio.sleep(0)
        learned(Sensitive(value))

    await asyncio.gather(*map(ask, ("first", "second")))
    learned.retain(["second"])
    learned.retain(["second"])
    values = [f"{kind}-of-{source}" for source in ("first", "second") for kind in ("key", "token")]
    assert shown(scrubber, values) == ["key-of-first", "token-of-first"]


def test_the_time_to_learn_a_secret_does_not_grow_with_their_number() -> None:
    """Each of a thousand registries gets its password at another moment. The index of all is not built each time."""

    def learn(number: int) -> None:
        learned = LearnedSecrets(Scrubber())
        for source in range(number // 8):
            learned.of(source, Sensitive(f"{source}-{'xyz' * 8}"))

    assert_linear(learn)


def test_an_endless_secret_is_cut_and_still_masked(scrubber: Scrubber, learned: LearnedSecrets) -> None:
    """It costs no more memory than the longest displayed text, and no message shows its beginning."""
    endless = Sensitive("key" * 1_000_000)
    tracemalloc.start()
    learned(endless)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 1_000_000
    assert "keykey" not in scrubber.scrub(f"it said {'key' * 80}…")
