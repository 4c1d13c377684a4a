"""A machine with a real registry under many names, a simulated ECR whose tokens live for seconds, and agents."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.rig.cloud import API
from tests.rig.distribution import Distribution
from tests.rig.machine import Machine
from tests.rig.needs import need
from tests.torture.config_json.site import ECRS, OURS, THEIRS, USERS, Site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    need("ip", "nsenter", "update-ca-certificates", "docker", "docker-registry", "htpasswd")
    names = (*OURS, *THEIRS)
    directory = tmp_path_factory.mktemp("site")
    machine = Machine(directory, [names, API, ECRS])
    with ExitStack() as ends:
        ends.callback(machine.close)
        address = machine.address(OURS[0])
        tls = machine.authority.files(*names)
        distribution = Distribution(machine.namespace, directory / "registry", address, 443, tls=tls, users=USERS)
        ends.callback(distribution.close)
        homes = (directory / f"home{number}" for number in itertools.count())
        site = Site(machine, homes)
        site.serve_ecr(ends)
        yield site
