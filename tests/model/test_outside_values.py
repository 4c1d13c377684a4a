"""Numbers and times in JSON from outside."""

from datetime import UTC, datetime

import pytest

from agent.model.outside_values import from_epoch, from_rfc3339, number

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("value", "expected"), [(7, 7.0), ("7", 7.0), (" 0.5 ", 0.5), (-1, -1.0)])
def test_a_number_may_be_a_string(value: object, expected: float) -> None:
    assert number(value) == expected


@pytest.mark.parametrize("value", [None, True, "", "x", "nan", "inf", 10**400, [], {}])
def test_what_is_no_finite_number_is_none(value: object) -> None:
    assert number(value) is None
    assert from_epoch(value) is None


def test_epoch_seconds_are_a_time_in_utc() -> None:
    assert from_epoch("1767225600") == NEW_YEAR
    assert from_epoch(1e18) is None


@pytest.mark.parametrize(
    "text", ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", "20260101T000000Z", "2026-01-01t00:00:00z"]
)
def test_a_time_of_any_zone_becomes_utc(text: str) -> None:
    found = from_rfc3339(text)
    assert found == NEW_YEAR
    assert found.tzinfo is UTC


@pytest.mark.parametrize("value", [None, 7, "", "tomorrow", "2026-01-01T00:00:00", "0001-01-01T00:00:00+23:00"])
def test_a_time_without_a_zone_or_outside_the_calendar_is_none(value: object) -> None:
    assert from_rfc3339(value) is None
