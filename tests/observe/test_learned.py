"""Secrets that appear at run time are masked from then on."""

import tracemalloc

from agent.model.sensitive import Sensitive
from agent.observe.redaction import MASK, LearnedSecrets, Scrubber


def test_learned_secrets_are_masked_as_well_as_those_of_other_owners() -> None:
    """Only the newest ones are kept. A secret that appears again counts as new."""
    scrubber = Scrubber()
    scrubber.protect(["of-a-secret-file"])
    learned = LearnedSecrets(scrubber, "aws", 2)
    for value in ("first-token", "second-token", "first-token", "third-token"):
        learned(Sensitive(value))
    assert scrubber.scrub("first-token third-token of-a-secret-file") == f"{MASK} {MASK} {MASK}"
    assert scrubber.scrub("second-token") == "second-token"


def test_an_endless_secret_is_cut_and_still_masked() -> None:
    """It costs no more memory than the longest displayed text, and no message shows its beginning."""
    scrubber = Scrubber()
    endless = Sensitive("key" * 1_000_000)
    tracemalloc.start()
    LearnedSecrets(scrubber, "aws", 2)(endless)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 1_000_000
    assert "keykey" not in scrubber.scrub(f"it said {'key' * 80}…")
