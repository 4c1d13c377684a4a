"""Secrets that come up while the agent works are masked from then on."""

from agent.model.sensitive import Sensitive
from agent.observe.redaction import MASK, LearnedSecrets, Scrubber


def test_what_was_learned_is_masked_beside_what_others_use() -> None:
    """The newest so many; who turns up again is new again."""
    scrubber = Scrubber()
    scrubber.protect(["of-a-secret-file"])
    learned = LearnedSecrets(scrubber, "aws", 2)
    for value in ("first-token", "second-token", "first-token", "third-token"):
        learned(Sensitive(value))
    assert scrubber.scrub("first-token third-token of-a-secret-file") == f"{MASK} {MASK} {MASK}"
    assert scrubber.scrub("second-token") == "second-token"


def test_an_endless_secret() -> None:
    """It costs no more than the longest text that is shown, and no message shows its beginning."""
    scrubber = Scrubber()
    LearnedSecrets(scrubber, "aws", 2)(Sensitive("key" * 1_000_000))
    assert max(map(len, scrubber._known.forms)) < 30_000
    assert "keykey" not in scrubber.scrub(f"it said {'key' * 80}…")
