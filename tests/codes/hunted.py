"""The search for leaked secrets in every test of the matrix. The tests need no code for it."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from agent.model.secret import RUNNER_NATIVE
from tests.codes.here import Here
from tests.codes.sources import PLAIN
from tests.codes.world import World
from tests.fakecloud.aws import PretendAws
from tests.hunt.canary import Canary, Hunt
from tests.hunt.outlets import answered, files, printed
from tests.hunt.sampler import NO_CORE, Sampler
from tests.rig.agent import REGISTRY_AGENT
from tests.rig.waiting import until

_RUNS: Final = [bytes(REGISTRY_AGENT), b"run"]


@contextmanager
def hunted(here: Here, home: Path) -> Iterator[World]:
    """A world with a secret from each possible source. At its end, no secret may be found where none is allowed.

    Raises:
        AssertionError: a secret was found, or a test used a secret that is no canary, which the search cannot find.
    """
    world = World(here, home)
    hunter = _Hunter(world)
    try:
        yield world
        hunter.listen()
    finally:
        hunter.sampler.stop()
        world.close()
    hunter.nothing_found()


class _Hunter:
    def __init__(self, world: World) -> None:
        self._world: Final = world
        self._heard: dict[str, bytes] = {}
        password = quote(world.sources.secret("the proxy's password"), safe="")
        proxy = f"http://user:{password}@127.0.0.1:1"
        # A starting shell briefly replaces each `=` in its environment with a NUL.
        self._in_proxy: Final = re.compile(rb"HTTPS_PROXY[=\0]" + re.escape(proxy.encode()))
        scratch = world.home / "scratch"
        scratch.mkdir()
        world.env.update(
            # All programs get the proxy (section 3 of the interface). No request of a test goes through it.
            HTTPS_PROXY=proxy,
            NO_PROXY="*",
            OTHER_TOKEN=world.sources.secret("a variable"),
            AWS_CONTAINER_AUTHORIZATION_TOKEN=world.sources.secret("the container's token", PLAIN),
            TMPDIR=str(scratch),
        )
        _, listener = world.dashboard()
        report = {"url": listener.url, "token_file": str(world.sources.file("report token"))}
        world.defaults["report"] = report
        world.defaults["secrets"] = {"token_file": str(world.sources.file("secrets token"))}
        world.defaults["log"] = {"level": "debug"}
        self.sampler: Final = Sampler(self._agent)

    def listen(self) -> None:
        """Request everything that the agent serves, if it runs."""
        if self._world.agent.running:
            # The status answers before the first child is started.
            until("a child to look at", lambda: bool(self.sampler.seen))
            socket = self._world.agent.socket
            # Files that are removed when the agent stops. The private directories of running logins may hold a secret.
            passing = {**self._allowed(), self._world.agent.runtime: "logins"}
            if self._world.stores_logins:
                passing[self._world.agent.docker] = "Docker's own"
            self._heard = {**answered(socket), **printed(socket), **self._files(passing)}

    def nothing_found(self) -> None:
        """Search the answers, the pushed documents, the files, and what was seen of the children."""
        if self._world.agent.pid is None:
            return
        children = {place: self._in_proxy.sub(b"", content) for place, content in self.sampler.seen.items()}
        assert children, "no child was seen"
        assert self.sampler.core_limits <= NO_CORE, self.sampler.core_limits
        pushed = (push for dashboard in self._world.dashboards for push in dashboard.bodies)
        pushes = {f"push {number}": push for number, push in enumerate(pushed)}
        found = Hunt(self._canaries()).found({**children, **pushes, **self._heard, **self._files(self._allowed())})
        assert not found, "\n".join([f"{len(found)} found", *found])

    def _allowed(self) -> dict[Path, str]:
        config = {self._world.agent.docker / "config.json": "Docker's own store"}
        return {
            **(config if self._world.stores_logins else {}),
            self._world.agent.secrets: "the source",
            self._world.sources.directory: "other sources",
            self._world.home / ".aws": "AWS's own files",
        }

    def _files(self, without: Mapping[Path, str]) -> dict[str, bytes]:
        return {str(path): content for path, content in files(self._world.home, without)}

    def _canaries(self) -> list[Canary]:
        """The canaries of the test, and the secrets that the pretend AWS issued."""
        own = self._world.sources.canaries
        handed_out = [canary for aws in self._world.clouds for canary in _secrets_of(aws)]
        others = (secret for cloud in self._world.other_clouds for secret in cloud.secrets)
        handed_out += [Canary("a token of Google or Azure", secret) for secret in others]
        given = {*self._world.given, *(token for aws in self._world.clouds for token in aws.web_identities)}
        unknown = given - {RUNNER_NATIVE} - {canary.value for canary in (*own, *handed_out)}
        assert not unknown, f"take it from world.sources.secret(), so that it can be hunted: {unknown}"
        return [*own, *handed_out]

    def _agent(self) -> int | None:
        """The agent's process id. A wrapper in front of the command may start other programs first."""
        pid = self._world.agent.pid
        if pid is None:
            return None
        with suppress(OSError):
            _interpreter, *words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if words[:2] == _RUNS:
                return pid
        return None


def _secrets_of(aws: PretendAws) -> Iterator[Canary]:
    for principal in aws.principals.by_key.values():
        yield Canary(f"the secret key of {principal.arn}", principal.secret_access_key)
        if principal.session_token is not None:
            yield Canary(f"the session token of {principal.arn}", principal.session_token)
    for token in aws.tokens.issued:
        yield Canary(f"the ECR token of {token.principal}", token.password)
    for value in aws.metadata.tokens:
        yield Canary("the metadata service's token", value)
