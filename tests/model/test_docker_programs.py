"""What the output of `docker --version` says."""

import pytest

from agent.model.docker_programs import numbers


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("28.2.2", (28, 2, 2)),
        ("20.10.24+dfsg1", (20, 10, 24)),
        ("29.8.0-dev", (29, 8, 0)),
        ("29", (29,)),
        ("dev", ()),
        ("", ()),
        ("9" * 5000, (999_999_999,)),
    ],
)
def test_a_version_compares_by_its_numbers(version: str, expected: tuple[int, ...]) -> None:
    """Distributions and developers append text. A version without numbers counts as unknown."""
    assert numbers(version) == expected
