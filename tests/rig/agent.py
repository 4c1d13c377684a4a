"""The agent as users run it: a process with a settings file, secrets and a status socket."""

import base64
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from tests.rig.files import read
from tests.rig.namespace import Namespace, environment
from tests.rig.status import Watcher, ask, get_status, next_status
from tests.rig.terminal import ControllingTerminal
from tests.rig.waiting import PATIENCE_S, until

REGISTRY_AGENT: Final = Path(sys.executable).with_name("registry-agent")

_FIRST_ANSWER_S: Final = 5.0
"""After this it asks again: another program may listen at the agent's address before it starts."""
_SHORT: Final = 10
"""A shorter password in a test may be an ordinary word that the log contains anyway."""

Settings = Mapping[str, Mapping[str, Any]]
Status = dict[str, Any]


class Agent:
    """One agent with its own home directory. From its first answer until `end`, a watcher requests its status.

    `settings` maps sections to keys. Apart from them, only the directories differ from the defaults.
    """

    def __init__(
        self,
        namespace: Namespace,
        home: Path,
        settings: Settings,
        env: Mapping[str, str],
        *,
        passwords: set[str] | None = None,
    ) -> None:
        """`passwords` are those of earlier agents in the same home, and get those of this one."""
        self._namespace: Final = namespace
        self._settings_file: Final = home / "config.toml"
        self._watcher: Watcher | None = None
        self._silences: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._passwords: Final = set() if passwords is None else passwords
        self.log_file: Final = home / "log"
        self.secrets: Final = home / "secrets"
        self.docker: Final = home / ".docker"
        self.runtime: Final = home / "run"
        self.socket: Final = self.runtime / "agent.sock"
        self.state: Final = home / "state"
        for directory in (self.secrets, self.docker, self.runtime, self.state):
            directory.mkdir(parents=True, exist_ok=True)
        self._settings: Settings = {"secrets": {"directories": [str(self.secrets)]}}
        self.configure(settings)
        directories = {"RUNTIME_DIRECTORY": str(self.runtime), "STATE_DIRECTORY": str(self.state)}
        self.env: Final = environment(HOME=str(home), **directories, **env)

    def configure(self, settings: Settings) -> None:
        """Add to the settings file. A running agent reads it on SIGHUP."""
        names = {*self._settings, *settings}
        self._settings = {name: {**self._settings.get(name, {}), **settings.get(name, {})} for name in names}
        self._settings_file.write_text(_toml(self._settings))

    def give(self, name: str, hostname: str, **fields: object) -> None:
        """Write a secret file atomically, like the program that provides secrets."""
        self._passwords.update(str(fields[name]) for name in ("password", "session_token") if name in fields)
        unfinished = self.secrets.parent / f"{name}.unfinished"
        unfinished.write_text(json.dumps({"name": name, "hostname": hostname, **fields}))
        unfinished.replace(self.secrets / f"{name}.json")

    def start(self, terminal: ControllingTerminal | None = None) -> "Agent":
        self._process = self._run(terminal=terminal)
        until("the agent's first answer", self._answers_or_died)
        self._watcher = Watcher(self.socket, self._process.pid)
        return self

    def once(self) -> subprocess.Popen[bytes]:
        """Start `run --once`."""
        return self._run("--once")

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _run(self, *args: str, terminal: ControllingTerminal | None = None) -> subprocess.Popen[bytes]:
        with self.log_file.open("ab") as log:
            return subprocess.Popen(
                self._namespace.args([REGISTRY_AGENT, "run", *args, "--config", self._settings_file]),
                env=self.env,
                stdout=log,
                stderr=log,
                **(terminal.popen if terminal else {"stdin": subprocess.DEVNULL}),
            )

    def status(self) -> Status:
        return get_status(self.socket)

    def next_status(self, latest: Status) -> Status:
        """A newer document than `latest`, or the same one after a moment, so the agent is not asked continuously."""
        return next_status(self.socket, latest.get("revision"))

    def registry(self, hostname: str) -> dict[str, Any] | None:
        return next((row for row in self.status()["registries"] if row["hostname"] == hostname), None)

    def wait_for(self, what: str, condition: Callable[[Status], object], timeout: float = PATIENCE_S) -> Status:
        """Wait for a status document that fulfills `condition`, and return it."""
        latest: Status = {}

        def holds() -> bool:
            nonlocal latest
            latest = self.next_status(latest)
            return bool(condition(latest))

        try:
            until(what, holds, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{json.dumps(latest, indent=1)}\n{self.log()}") from None
        return latest

    def wait_logged_in(self, *hostnames: str, timeout: float = PATIENCE_S) -> Status:
        return self.wait_for(f"the login to {', '.join(hostnames)}", lambda s: logged_in(s, *hostnames), timeout)

    def renew(self, hostname: str) -> dict[str, Any]:
        """Request a renewal like `registry-agent renew`, and wait for its outcome. Returns the registry's row."""
        before = self.registry(hostname)
        assert before is not None
        status, body = ask(self.socket, "POST", "/v1/renew", body={"hostname": hostname})
        assert status == HTTPStatus.ACCEPTED, body

        def outcome() -> dict[str, Any] | None:
            row = self.registry(hostname)
            return row if row and row["attempts"] > before["attempts"] and not row["attempting"] else None

        return until(f"the renewal of {hostname}", outcome) or {}

    def command(self, *args: str, timeout: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
        """Run another command of the agent while it runs."""
        return self._namespace.run(REGISTRY_AGENT, *args, env=self.env, timeout=timeout)

    def docker_config(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.docker / "config.json").read_text())
        return document

    def log(self) -> str:
        return self.log_file.read_text()[-8000:]

    def end(self, how: signal.Signals = signal.SIGTERM, within: float = PATIENCE_S) -> int:
        """Signal the agent, and wait for its exit code. Fails if it left a request unanswered while it ran."""
        assert self._process is not None
        self.watch_no_longer()
        self._process.send_signal(how)
        try:
            return self._process.wait(within)
        finally:
            self._process.kill()
            self._process.wait()
            assert not self._silences, f"the status endpoint did not answer: {self._silences}\n{self.log()}"
            leaks(self._passwords, [self.log_file, *self.state.glob("*")])

    def watch_no_longer(self) -> None:
        """Allow missing answers from now on. `end` still reports those until now."""
        self._silences = self._watcher.stop() if self._watcher else self._silences
        self._watcher = None

    @property
    def pid(self) -> int | None:
        """The process ID, or None before the first start."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _answers_or_died(self) -> bool:
        assert self.running, f"the agent ended unexpectedly:\n{self.log()}"
        try:
            get_status(self.socket, _FIRST_ANSWER_S)
        except OSError:
            return False
        return True


def leaks(passwords: Iterable[str], files: Iterable[Path]) -> None:
    """Fail if a file contains one of the passwords, either as it is or in base64 after a user name of any length."""
    contents = dict(read(path for path in files if path.is_file()))
    for password in passwords:
        if len(password.encode(errors="surrogatepass")) < _SHORT or password == "runner-native":
            continue
        for path, content in contents.items():
            assert not any(form in content for form in forms(password)), f"a password in {path}"


def forms(password: str) -> tuple[bytes, ...]:
    """The password as it is, and as it looks in base64 after a user name of any length."""
    raw = password.encode(errors="surrogatepass")
    return raw, *(base64.b64encode(bytes(shift) + raw)[(shift * 8 + 5) // 6 : -4] for shift in range(3))


def logged_in(status: Status, *hostnames: str) -> bool:
    states = {row["hostname"]: row["state"] for row in status["registries"]}
    return all(states.get(hostname) == "logged_in" for hostname in hostnames)


def warnings(status: Status) -> set[tuple[str, str]]:
    """The open warnings as (code, subject)."""
    return {(warning["code"], warning["subject"]) for warning in status["warnings"]}


def _toml(sections: Settings) -> str:
    """Encode as TOML. Strings, numbers, booleans and lists are the same as in JSON."""
    return "\n".join(
        f"[{section}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
        for section, keys in sections.items()
    )
