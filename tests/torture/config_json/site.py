"""A machine with a real registry under many names, a simulated ECR with short-lived tokens, and agents on it."""

import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from agent.edge.state_file import StateFile
from agent.model.docker_config import entries, find, parse_config
from tests.fakecloud.aws import PretendAws
from tests.fakecloud.registries import EcrAuth, PretendRegistry
from tests.rig.agent import Agent, Status, logged_in, warnings
from tests.rig.cloud import API, NATIVE, REGION
from tests.rig.machine import METADATA_ADDRESS, Machine
from tests.torture.config_json.documents import FOREIGN, faults_of, lay, others, parse, temporary_files
from tests.torture.config_json.helper import NAME, put_helper, stored

OURS: Final = tuple(f"our{number:02}.torture.test" for number in range(12))
ECRS: Final = tuple(f"{number:012}.dkr.ecr.{REGION}.amazonaws.com" for number in range(1, 4))
THEIRS: Final = tuple(f"their{number:02}.torture.test" for number in range(8))
KEPT: Final = (*OURS, *ECRS)
"""All registries that an agent keeps logins for."""

USERS: Final = {user: f"password-of-{user}" for user in ("alice", "bob", "person")}
_TOKEN_LIFE_S: Final = 20
_AIM_S: Final = 0.5
_SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = {
    "renewal": {"fraction": 0.05, "min_interval_s": 0.5},
    "retry": {"first_wait_s": 0.1, "max_wait_s": 0.5},
    "status": {"listen": ""},
}


class Site:
    """The machine, and the home directories of its agents."""

    def __init__(self, machine: Machine, homes: Iterator[Path]) -> None:
        self.machine: Final = machine
        self._homes: Final = homes

    @contextmanager
    def keeper(self, layout: str) -> Iterator["Keeper"]:
        """Prepare an agent and its config.json, without starting it.

        `layout` is `plain`, `helper` (with a credential helper), `linked` (a link) or `mounted` (a mount point). After
        the block, the agent must exit with 0 and leave no temporary file.
        """
        home = next(self._homes)
        path = f"{home / 'bin'}:{os.environ['PATH']}"
        agent = Agent(self.machine.namespace, home, _SETTINGS, {**self.machine.trust, "PATH": path})
        config = agent.docker / "config.json"
        real = {"linked": home / "dotfiles.json", "mounted": home / "outside.json"}.get(layout, config)
        lay(real, FOREIGN.replace("{", f'{{"credsStore": "{NAME}", ', 1) if layout == "helper" else FOREIGN)
        put_helper(home / "bin")
        if layout == "linked":
            config.symlink_to(real)
        elif layout == "mounted":
            config.touch()
            done = self.machine.namespace.run("mount", "--bind", real, config, env=agent.env)
            assert done.returncode == 0, done.stderr
        keeper = Keeper(agent, real, with_helper=layout == "helper")
        try:
            yield keeper
            assert agent.end() == 0, agent.log()
            assert not keeper.leftovers()
        except BaseException as error:
            error.add_note(agent.log())
            raise
        finally:
            if agent.running:
                agent.end(signal.SIGKILL)
            shutil.rmtree(home, ignore_errors=True)

    def serve_ecr(self, stack: Any) -> None:
        """Serve ECR under all of `ECRS`, and the machine's own identity."""
        aws = PretendAws(region=REGION, token_life_s=_TOKEN_LIFE_S)
        registry = PretendRegistry(EcrAuth(aws.valid, REGION))
        stack.enter_context(self.machine.serving(aws.handle, *API))
        stack.enter_context(self.machine.listening(aws.handle, METADATA_ADDRESS, 80))
        stack.enter_context(self.machine.serving(registry.handle, *ECRS))


class Keeper:
    """An agent and its config.json. `real` is the file behind a link or mount."""

    def __init__(self, agent: Agent, real: Path, *, with_helper: bool) -> None:
        self.agent: Final = agent
        self.real: Final = real
        self._with_helper: Final = with_helper
        self.foreign = others(parse(real.read_bytes()), KEPT)
        self._user = "bob"
        for number, hostname in enumerate(ECRS):
            agent.give(f"ecr{number}", hostname, **NATIVE)

    def flip(self) -> None:
        """Change the user name and password for each of `OURS`, so that the agent logs in again."""
        self._user = "alice" if self._user == "bob" else "bob"
        for hostname in OURS:
            self.agent.give(hostname.partition(".")[0], hostname, username=self._user, password=USERS[self._user])

    def file_faults(self) -> list[str]:
        """Return what is wrong with the file. Nothing may be wrong at any moment."""
        return faults_of(self.real, self.foreign, KEPT)

    def faults(self) -> list[str]:
        """Return what is wrong with the file, and with what the agent knows of it. Only while no agent runs."""
        found = self.file_faults()
        state_file = StateFile.loaded(self.agent.state, self.agent.docker)
        if state_file.fault is not None:
            found.append(f"state.json: {state_file.fault}")
        if found:
            return found
        for hostname, entry in entries(parse_config(self.real.read_bytes())).items():
            known = state_file.entries().get(hostname)
            if hostname in KEPT and (known is None or state_file.digest(hostname, entry) not in known.digests):
                found.append(f"{hostname}: the agent does not know its own login")
        return found

    def kill(self, *, in_a_write: bool) -> None:
        """`kill -9` the agent. With `in_a_write`, first wait for a temporary file, but only for half a second."""
        self.agent.watch_no_longer()
        give_up = time.monotonic() + (_AIM_S if in_a_write else 0)
        while time.monotonic() < give_up and not temporary_files(self.real.parent):
            pass
        self.agent.end(signal.SIGKILL)

    def settled(self) -> None:
        """Wait until Docker finds the newest login for every registry, and check that none counts as a person's."""
        self.agent.wait_for("all logins", self._well, timeout=30)

    def log_count(self, event: str) -> int:
        """Return how often the agent logged `event`."""
        return (self.agent.docker.parent / "log").read_text().count(event)

    def leftovers(self) -> list[str]:
        return [*temporary_files(self.agent.docker), *temporary_files(self.real.parent)]

    def _well(self, status: Status) -> bool:
        overridden = [subject for code, subject in warnings(status) if code == "login_overridden"]
        assert not overridden, f"its own login is taken for a person's: {overridden}"
        wanted = dict.fromkeys(OURS, self._user) | dict.fromkeys(ECRS, "AWS")
        return logged_in(status, *KEPT) and self._held() == wanted

    def _held(self) -> dict[str, str]:
        """Return the user name of each login that the agent keeps."""
        if self._with_helper:
            logins = stored(self.agent.docker.parent)
            return {hostname: logins[hostname]["Username"] for hostname in KEPT if hostname in logins}
        document = parse_config(self.real.read_bytes())
        return {hostname: found[1].username for hostname in KEPT if (found := find(document, hostname)) is not None}
