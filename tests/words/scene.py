"""One machine with all faults at once that other tools can report, each under its own name."""

import secrets
import shutil
import ssl
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import trustme

from agent.demo.registries import Auth, BasicAuth, TokenAuth
from tests.codes.servers import Engine
from tests.fakecloud.aws import PretendAws
from tests.fakecloud.faults import CAPTIVE_PORTAL, Answer, Broken, Fault
from tests.fakecloud.registries import EcrAuth, PretendRegistry
from tests.rig.agent import Agent
from tests.rig.machine import Machine
from tests.rig.namespace import environment
from tests.words import names
from tests.words.name_server import close, no_names

if TYPE_CHECKING:
    from tests.rig.namespace import Namespace

TOKEN_CALL: Final = "ecr:GetAuthorizationToken"
NAME_SERVER: Final = "10.77.0.1"
_FAULTS: Final[Mapping[str, Fault]] = {
    names.FORBIDDEN: Answer(403, "this account is suspended"),
    names.BUSY: Answer(429, headers={"Retry-After": "60"}),
    names.SILENT: Broken.SILENT,
    names.ILL: Answer(503),
    names.PORTAL: CAPTIVE_PORTAL,
}
_AWS_FAULTS: Final = {names.DENIED: "access_denied", names.THROTTLED: "throttled", names.AILING: "server_error"}
_SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = {
    "docker": {"login_timeout_s": 5},
    "aws": {"call_timeout_s": 5},
    "renewal": {"min_interval_s": 0.5},
    "retry": {"first_wait_s": 0.5, "max_wait_s": 4},
    "status": {"listen": ""},
}
_LIFE_S: Final = 6
_HOSTS: Final = (*names.SERVED, *names.SPECIAL, names.ecr(names.ENDING))
# Without its capabilities, root has the rights of an ordinary user.
_POWERLESS: Final = (shutil.which("setpriv") or "setpriv", "--bounding-set=-all")
_NSENTER: Final = shutil.which("nsenter") or "nsenter"


class Inside:
    """The machine with the rights of an ordinary user, and with any PATH."""

    def __init__(self, machine: Machine) -> None:
        self._namespace: Final = machine.namespace

    def args(self, args: Sequence[str | Path]) -> list[str]:
        return [_NSENTER, *self._namespace.args([*_POWERLESS, *args])[1:]]

    def run(
        self, *args: str | Path, env: Mapping[str, str], stdin: str = "", timeout: float = 30.0
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.args(args), env=env, input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )


class Scene:
    """Servers, secrets, and the home that the agent and people share.

    Attributes:
        engine: the address of `silent_engine`, in the form of DOCKER_HOST.
        password, wrong: passwords of `names.USER`. Registries accept the first, and never the second.
        web_identity: a file with a web identity token that AWS does not know.
        dead_token: an expired ECR token.
        foreign_token: an ECR token of another region than that of `names.FOREIGN_TOKEN`.
    """

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.machine: Final = Machine(directory, [*((name,) for name in _HOSTS), *map(names.api, names.REGIONS)])
        stack.callback(self.machine.close)
        self._stack: Final = stack
        self.inside: Final = Inside(self.machine)
        self.directory: Final = directory
        self.home: Final = directory / "home/ada"
        self.home.mkdir(parents=True)
        self.engine: Final = f"unix://{self.home}/engine.sock"
        self.password: Final = secrets.token_hex(16)
        self.wrong: Final = secrets.token_hex(16)
        self.web_identity: Final = self.home / "token"
        self.web_identity.write_text(secrets.token_hex(16))
        self.clouds: Final = {region: PretendAws(account=names.ACCOUNT, region=region) for region in names.REGIONS}
        self.users: Final = {region: aws.add_user("ci") for region, aws in self.clouds.items()}
        self._break_aws()
        arn = self.users[names.HEALTHY].arn
        ended, later = (datetime.now(UTC) + timedelta(hours=hours) for hours in (-1, 12))
        self.dead_token: Final = self.clouds[names.ENDING].tokens.issue(arn, names.ENDING, ended).password
        self.foreign_token: Final = self.clouds[names.HEALTHY].tokens.issue(arn, names.HEALTHY, later).password
        self._resolve()
        self._serve()

    def new_agent(self, **env: str) -> Agent:
        """Return an agent in this home that is not started yet."""
        settings = {**_SETTINGS, "aws": {**_SETTINGS["aws"], "identity_token_file": str(self.web_identity)}}
        inside = cast("Namespace", self.inside)  # an agent uses only `args` and `run` of it
        return Agent(inside, self.home, settings, {**self.machine.trust, **env})

    def silent_engine(self) -> None:
        """Listen at `engine`, accept connections, and send nothing."""
        engine = Engine()
        engine.fault = Broken.SILENT
        self.machine.namespace.call(engine.start(Path(self.engine.removeprefix("unix://"))))
        self._stack.callback(lambda: self.machine.namespace.call(engine.stop()))

    def give_all(self, agent: Agent) -> None:
        """Give the agent every secret that exists from the start."""
        login = {"username": names.USER, "password": self.password}
        for name in (*names.SERVED, *names.SPECIAL, names.TYPO):
            if name not in (names.LATER, names.NATIVE, names.FOREIGN_TOKEN, names.WRONG_PASSWORD):
                agent.give(_secret(name), name, **login)
        agent.give(_secret(names.WRONG_PASSWORD), names.WRONG_PASSWORD, **{**login, "password": self.wrong})
        agent.give(_secret(names.NATIVE), names.NATIVE, username="runner-native")
        for region in names.REGIONS:
            hostname, kind = names.ecr(region), {}
            if region == names.HEALTHY:
                hostname, kind = names.FOREIGN_TOKEN, {"kind": "ecr", "region": region}
            agent.give(f"team-{region}", hostname, **self._aws_secret(region), **kind)

    def give_late(self, agent: Agent) -> None:
        agent.give(_secret(names.LATER), names.LATER, username=names.USER, password=self.password)

    def aws_keys(self, region: str) -> dict[str, str]:
        """Return the variables for a manual call to AWS there, with the same identity as in the agent's secret."""
        if region == names.KEYLESS:
            return {}
        if region == names.IDENTITY:
            return {"AWS_ROLE_ARN": names.ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(self.web_identity)}
        user = self.users[region]
        return {"AWS_ACCESS_KEY_ID": user.access_key_id, "AWS_SECRET_ACCESS_KEY": user.secret_access_key}

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets, which no text may show."""
        keys = (user.secret_access_key for user in self.users.values())
        return (self.password, self.wrong, self.dead_token, self.foreign_token, *keys)

    def end_renewals(self) -> None:
        """Let all further renewals for `names.ENDING` fail. Its token lives for seconds."""
        self.clouds[names.ENDING].fail(TOKEN_CALL, "server_error")

    def _aws_secret(self, region: str) -> dict[str, str]:
        if region == names.KEYLESS:
            return {"username": "runner-native"}
        if region == names.IDENTITY:
            return {"username": "runner-native", "role_arn": names.ROLE}
        user = self.users[region]
        return {"username": user.access_key_id, "password": user.secret_access_key}

    def _break_aws(self) -> None:
        for region, fault in _AWS_FAULTS.items():
            self.clouds[region].fail(TOKEN_CALL, fault)
        self.clouds[names.CLOCK].clock_offset = timedelta(minutes=20)
        self.clouds[names.ENDING].token_life_s = _LIFE_S

    def _resolve(self) -> None:
        """Resolve only the names in /etc/hosts. Any other name fails at once."""
        conf = self.directory / "resolv.conf"
        conf.write_text(f"nameserver {NAME_SERVER}\n")
        self.machine.namespace.run("mount", "--bind", conf, "/etc/resolv.conf", env=environment()).check_returncode()
        server = self.machine.namespace.call(no_names(NAME_SERVER))
        self._stack.callback(lambda: self.machine.namespace.call(close(server)))

    def _serve(self) -> None:
        users = {names.USER: self.password}
        for name in names.SERVED:
            self._registry(name, TokenAuth(users) if name == names.WRONG_PASSWORD else BasicAuth(users))
        for region, aws in self.clouds.items():
            if region != names.UNROUTED:
                self._stack.enter_context(self.machine.serving(aws.handle, *names.api(region)))
        self._registry(names.FOREIGN_TOKEN, EcrAuth(self.clouds[names.HEALTHY].valid, names.DENIED))
        self._registry(names.ecr(names.ENDING), EcrAuth(self.clouds[names.ENDING].valid, names.ENDING))
        past = datetime.now(UTC) - timedelta(days=1)
        company = trustme.CA(organization_name="Example Company")
        self._registry(names.PRIVATE_CA, BasicAuth(users), company.issue_cert(names.PRIVATE_CA))
        expired = self.machine.authority.issue(names.EXPIRED_CERTIFICATE, not_after=past)
        self._registry(names.EXPIRED_CERTIFICATE, BasicAuth(users), expired)

    def _registry(self, name: str, auth: Auth, certificate: trustme.LeafCert | None = None) -> None:
        registry = PretendRegistry(auth)
        registry.fault = _FAULTS.get(name)
        context = self.machine.authority.context(name)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
        self._stack.enter_context(self.machine.listening(registry.handle, self.machine.address(name), 443, context))


def _secret(hostname: str) -> str:
    return f"team-{hostname.partition('.')[0]}"
