"""The hunt for secrets that goes through every test of the matrix: no row has to do anything for it."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from agent.demo.aws import PretendAws
from agent.model.secret import RUNNER_NATIVE
from tests.codes.here import Here
from tests.codes.sources import PLAIN
from tests.codes.world import World
from tests.hunt.canary import Canary, Hunt
from tests.hunt.outlets import answered, files, printed
from tests.hunt.sampler import NO_CORE, Sampler
from tests.rig.agent import REGISTRY_AGENT
from tests.rig.waiting import until

_RUNS: Final = [bytes(REGISTRY_AGENT), b"run"]


@contextmanager
def hunted(here: Here, home: Path) -> Iterator[World]:
    """A world with a secret in each place that one may come from; at its end none is found where none may be.

    Raises:
        AssertionError: a secret was found; or one that a test gave is no canary, which nobody could find.
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
        # A shell that starts puts a NUL in the place of each `=` for a moment.
        self._in_proxy: Final = re.compile(rb"HTTPS_PROXY[=\0]" + re.escape(proxy.encode()))
        scratch = world.home / "scratch"
        scratch.mkdir()
        world.env.update(
            # By section 3 every program knows the proxy; nothing that a test asks goes there.
            HTTPS_PROXY=proxy,
            NO_PROXY="*",
            SOMEBODYS_TOKEN=world.sources.secret("somebody's variable"),
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
        """Ask for all that can be asked for, if there is an agent to answer."""
        if self._world.agent.running:
            # The status answers before the first of them is started.
            until("a child to look at", lambda: bool(self.sampler.seen))
            socket = self._world.agent.socket
            # What lies there now, and is swept away at the agent's end. Where logins run, a secret may be.
            passing = {**self._allowed(), self._world.agent.docker: "Docker's own", self._world.agent.runtime: "logins"}
            self._heard = {**answered(socket), **printed(socket), **self._files(passing)}

    def nothing_found(self) -> None:
        """In what was heard, pushed, kept on disk, and seen of the children."""
        if self._world.agent._process is None:
            return
        children = {place: self._in_proxy.sub(b"", content) for place, content in self.sampler.seen.items()}
        assert children, "no child was seen"
        assert self.sampler.core_limits <= NO_CORE, self.sampler.core_limits
        pushed = (push for dashboard in self._world.dashboards for push in dashboard.bodies)
        pushes = {f"push {number}": push for number, push in enumerate(pushed)}
        found = Hunt(self._canaries()).found({**children, **pushes, **self._heard, **self._files(self._allowed())})
        assert not found, "\n".join([f"{len(found)} found", *found])

    def _allowed(self) -> dict[Path, str]:
        return {
            self._world.agent.docker / "config.json": "Docker's own store",
            self._world.agent.secrets: "the source",
            self._world.sources.directory: "other sources",
            self._world.home / ".aws": "AWS's own files",
        }

    def _files(self, without: Mapping[Path, str]) -> dict[str, bytes]:
        return {str(path): content for path, content in files(self._world.home, without)}

    def _canaries(self) -> list[Canary]:
        """The test's, and what the pretend AWS handed out."""
        own = self._world.sources.canaries
        handed_out = [canary for aws in self._world.clouds for canary in _secrets_of(aws)]
        given = {*self._world.given, *(token for aws in self._world.clouds for token in aws.web_identities)}
        unknown = given - {RUNNER_NATIVE} - {canary.value for canary in (*own, *handed_out)}
        assert not unknown, f"take it from world.sources.secret(), so that it can be hunted: {unknown}"
        return [*own, *handed_out]

    def _agent(self) -> int | None:
        """Its process, once what is put in front of its command (which may start programs too) has made room for it."""
        process = self._world.agent._process
        if process is None:
            return None
        with suppress(OSError):
            _interpreter, *words = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
            if words[:2] == _RUNS:
                return process.pid
        return None


def _secrets_of(aws: PretendAws) -> Iterator[Canary]:
    for principal in aws.principals._by_key.values():
        yield Canary(f"the secret key of {principal.arn}", principal.secret_access_key)
        if principal.session_token is not None:
            yield Canary(f"the session token of {principal.arn}", principal.session_token)
    for token in aws.tokens.issued:
        yield Canary(f"the ECR token of {token.principal}", token.password)
    for value in aws._metadata._tokens:
        yield Canary("the metadata service's token", value)
