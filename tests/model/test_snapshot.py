"""The one-line summary of the status."""

from datetime import timedelta

from agent.model.problem import Problem
from agent.model.problems.registry import RegistryDns, RegistryTimeout
from agent.model.snapshot import summary
from agent.model.status import OpenWarning, RegistryStatus, State
from tests.fakes import EPOCH


def warnings(*problems: Problem) -> list[OpenWarning]:
    moments = (EPOCH + timedelta(seconds=number) for number in range(len(problems)))
    return [OpenWarning.of(problem, moment, None) for problem, moment in zip(problems, moments, strict=True)]


def test_the_same_fault_of_several_registries_counts_once() -> None:
    """A machine without a network has one fault, not thirty."""
    hosts = [f"{number}.example" for number in range(30)]
    rows = [RegistryStatus(host, "team", "project", "basic", EPOCH, State.RETRYING) for host in hosts]
    silent = [RegistryTimeout(host, f"{host} did not answer in time") for host in hosts]
    assert summary(rows, warnings(*silent)) == "0 of 30 registries logged in, 1 warning"
    other = RegistryTimeout("ghcr.io", "ghcr.io did not answer for 30 s")
    unknown = RegistryDns("ghcr.io", "ghcr.io did not answer in time")
    assert summary(rows, warnings(*silent, other, unknown)) == "0 of 30 registries logged in, 3 warnings"
