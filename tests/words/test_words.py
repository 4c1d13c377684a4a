"""The page shows what docker, aws and the ECR credential helper print for a fault, next to what the agent reports."""

import re

import pytest

from tests.codes.severities import SEVERITIES
from tests.words.cases import CASES
from tests.words.conftest import Measured
from tests.words.page import agents_words, shown

FAULTS_OF_CLOUDS = ("credentials_missing", "access_denied", "throttled", "unreachable", "error")
NOTHING_TO_COMPARE = frozenset(
    {
        "docker_cli_failed",  # docker itself is broken
        "engine_forbidden",  # the tools run as root there, and no socket refuses root
        "settings_invalid",
        "status_listen_failed",
        "state_unusable",
        "secret_invalid",
        "secret_shadowed",
        "secret_hostname",
        "secrets_unavailable",
        "native_unsupported",
        "token_not_renewable",
        # docker and aws ask neither Google nor Azure for tokens
        *(f"{cloud}_{fault}" for cloud in ("google", "azure") for fault in FAULTS_OF_CLOUDS),
        "credential_command_failed",  # docker asks no such source
        "helper_unavailable",
        "renewal_failing",  # the others print nothing until the token has expired
        "login_restored",
        "report_failed",
    }
)
"""Faults that only an agent can have. The other tools do not know them, and print nothing."""


def test_every_fault_that_other_programs_show_is_on_the_page() -> None:
    """Each case has its text under its code, and the page has no other texts."""
    cases = {(case.code, case.about) for case in CASES}
    assert {code for code, _ in cases} == SEVERITIES.keys() - NOTHING_TO_COMPARE
    assert {(code, about) for code, texts in shown().items() for about in texts} == cases, "run `make words`"


def test_every_text_is_of_a_command_that_ran() -> None:
    """It shows the command, the output and how it ended. No argument is a secret."""
    texts = [text for texts in shown().values() for text in texts.values()]
    for text in texts:
        assert re.match(r"\$ (docker|aws|echo \S+ \| docker-credential-ecr-login) ", text), text
        assert re.search(r"^\[(exit code \d+|no end within \d+ s)\]$", text, re.MULTILINE), text
        assert "--password " not in text
        assert "/home/ada" in text or "/words" not in text  # where the test ran


@pytest.mark.timeout(900)  # if the page is written, the other tools run, too, and some are slow
def test_the_agents_words_on_the_page_are_what_it_says(told: Measured) -> None:
    """Message, hint and `needs` are those of the same fault in a real run of the agent."""
    page = shown()
    for (code, about), measured in told.items():
        assert agents_words(page[code][about]) == measured.agent.text, f"{code}: run `make words`"
