"""The settings: defaults, precedence, and common mistakes."""

import json
import os
from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.edge.paths import home
from agent.model.problems.environment import SettingsInvalid
from agent.settings import Settings
from agent.settings_loader import FIELDS, Loaded, load_settings, parse_assignments
from agent.settings_loader.sources import DEFAULT_FILE

ENVIRON = {"HOME": "/home/vscode"}
KEYS = sorted(FIELDS)

# The table in section 4 of the interface, without the defaults that depend on the environment.
DEFAULTS = {
    "secrets.directories": (Path("/run/secrets/registries"),),
    "secrets.environment": True,
    "secrets.url": None,
    "secrets.token_file": None,
    "secrets.poll_interval_s": 60,
    "secrets.removed": "keep",
    "secrets.exclude": (),
    "secrets.allow_commands": False,
    "docker.config_dir": Path("/home/vscode/.docker"),
    "docker.login_timeout_s": 30,
    "docker.store": "file",
    "aws.region": None,
    "aws.profile": None,
    "aws.role_arn": None,
    "aws.identity_token_file": None,
    "aws.identity_token_command": (),
    "aws.call_timeout_s": 10,
    "google.audience": None,
    "google.service_account": None,
    "google.identity_token_file": None,
    "google.identity_token_command": (),
    "azure.client_id": None,
    "azure.tenant_id": None,
    "azure.identity_token_file": None,
    "azure.identity_token_command": (),
    "renewal.fraction": 0.5,
    "renewal.min_interval_s": 5,
    "renewal.urgent_window_s": 3600,
    "renewal.check_interval_s": 21600,
    "retry.first_wait_s": 1,
    "retry.max_wait_s": 300,
    "retry.rejected_wait_s": 1800,
    "status.listen": "127.0.0.1:8719",
    "status.token_file": None,
    "status.allow_hosts": (),
    "status.allow_origins": (),
    "report.url": None,
    "report.token_file": None,
    "report.interval_s": 60,
    "log.level": "info",
    "log.format": "auto",
}


AUDIENCE = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/dev/providers/ona"
CLIENT = "6b1c2d3e-0000-4000-8000-000000000001"


def value(settings: Settings, key: str) -> object:
    section, _, name = key.partition(".")
    return getattr(getattr(settings, section), name)


def load(tmp_path: Path, toml: str = "", environ: dict[str, str] | None = None, **flags: str) -> Loaded:
    file = tmp_path / "config.toml"
    file.write_text(toml)
    return load_settings(file, ENVIRON | (environ or {}), flags)


def only_problem(loaded: Loaded) -> SettingsInvalid:
    (problem,) = loaded.problems
    return problem


def test_keys_and_defaults_are_those_of_the_interface(tmp_path: Path) -> None:
    """Every key of the table exists with its default, and there is no other key."""
    loaded = load(tmp_path)
    assert {key: value(loaded.settings, key) for key in DEFAULTS} == DEFAULTS
    keys = {f"{s.name}.{f.name}" for s in fields(Settings) for f in fields(getattr(loaded.settings, s.name))}
    assert keys == set(KEYS) == {*DEFAULTS, "environment.id"}
    assert loaded.problems == ()


@pytest.mark.skipif(DEFAULT_FILE.exists(), reason="this machine has a settings file")
def test_the_default_file_may_be_missing() -> None:
    """Without a file, variables and flags, the defaults apply, and there is no problem."""
    loaded = load_settings(None, ENVIRON, {})
    assert (loaded.problems, loaded.file) == ((), None)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"GITPOD_WORKSPACE_ID": "gp", "CODESPACE_NAME": "cs"}, "gp"),
        ({"GITPOD_WORKSPACE_ID": "", "CODESPACE_NAME": "cs"}, "cs"),
        ({"GITPOD_WORKSPACE_ID": " ", "CODESPACE_NAME": "cs"}, "cs"),
        ({"GITPOD_WORKSPACE_ID": " ", "CODESPACE_NAME": " "}, os.uname().nodename),
        ({}, os.uname().nodename),
        ({"CODESPACE_NAME": "cs", "REGISTRY_AGENT_ENVIRONMENT_ID": "mine"}, "mine"),
    ],
)
def test_the_environment_has_a_name(tmp_path: Path, environ: dict[str, str], expected: str) -> None:
    """It is the platform's name, or else the host name. A setting overrides both."""
    assert load(tmp_path, "", environ).settings.environment.id == expected


@pytest.mark.parametrize(
    ("first", "expected"), [("snap/bin", "snap/docker/current/.docker"), ("usr/bin", ".docker"), (None, ".docker")]
)
def test_a_docker_from_snap_has_its_own_configuration(tmp_path: Path, first: str | None, expected: str) -> None:
    """It sees another home directory. The first docker on PATH counts; without one, the usual place does."""
    directories = ["usr/bin", "snap/bin"]
    for directory in directories:
        (tmp_path / directory).mkdir(parents=True)
    for directory in directories[directories.index(first) :] if first else ():
        (tmp_path / directory / "docker").touch(0o755)
    environ = {"HOME": str(tmp_path), "PATH": ":".join(str(tmp_path / directory) for directory in directories)}
    assert load(tmp_path, "", environ=environ).settings.docker.config_dir == tmp_path / expected
    elsewhere = load(tmp_path, "", environ={**environ, "DOCKER_CONFIG": "/elsewhere"})
    assert elsewhere.settings.docker.config_dir == Path("/elsewhere")


@pytest.mark.parametrize(
    ("environ", "name"),
    [({"DOCKER_CONFIG": "~/.docker", **ENVIRON}, "DOCKER_CONFIG"), ({"HOME": "home"}, "HOME")],
)
def test_a_relative_path_of_the_docker_configuration_is_reported(
    tmp_path: Path, environ: dict[str, str], name: str
) -> None:
    """Nothing replaces `~` in a variable of a container or a unit. A login in that directory would help no pull."""
    loaded = load(tmp_path, "", environ=environ)
    (problem,) = loaded.problems
    assert problem.message.startswith(f"{name} is not an absolute path: {environ[name]}; the agent uses ")
    assert loaded.settings.docker.config_dir in (Path("/home/vscode/.docker"), home({}) / ".docker")
    chosen = load(tmp_path, "", environ={**environ, "REGISTRY_AGENT_DOCKER_CONFIG_DIR": "/chosen"})
    assert (chosen.problems, chosen.settings.docker.config_dir) == ((), Path("/chosen"))


def test_the_config_directory_is_the_one_that_docker_uses(tmp_path: Path) -> None:
    """$DOCKER_CONFIG is the default, and a setting overrides it."""
    environ = {"DOCKER_CONFIG": "/elsewhere"}
    assert load(tmp_path, "", environ).settings.docker.config_dir == Path("/elsewhere")
    assert load(tmp_path, '[docker]\nconfig_dir="~/x"', environ).settings.docker.config_dir == Path("/home/vscode/x")


def test_flags_override_the_environment_which_overrides_the_file(tmp_path: Path) -> None:
    """This holds for each key separately."""
    toml = '[log]\nlevel="warning"\nformat="json"\n[retry]\nfirst_wait_s=2\n'
    environ = {"REGISTRY_AGENT_LOG_LEVEL": "error", "REGISTRY_AGENT_LOG_FORMAT": "console"}
    settings = load(tmp_path, toml, environ, **{"log.level": "debug"}).settings
    assert (settings.log.level, settings.log.format, settings.retry.first_wait_s) == ("debug", "console", 2)


def test_a_path_argument_overrides_the_variable_for_the_file(tmp_path: Path) -> None:
    """Without the argument, $REGISTRY_AGENT_CONFIG names the file."""
    given, named = tmp_path / "given.toml", tmp_path / "named.toml"
    given.write_text('log.level="debug"')
    named.write_text('log.level="error"')
    environ = {**ENVIRON, "REGISTRY_AGENT_CONFIG": str(named)}
    assert load_settings(given, environ, {}).settings.log.level == "debug"
    loaded = load_settings(None, environ, {})
    assert (loaded.settings.log.level, loaded.file) == ("error", named)


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("secrets.directories", '["/a", "~/b"]', (Path("/a"), Path("/home/vscode/b"))),
        ("secrets.environment", "off", False),
        ("secrets.poll_interval_s", "0.5", 0.5),
        ("secrets.url", "unix:///run/s.sock", "unix:/run/s.sock"),
        ("secrets.url", "http://[::1]:80/v1?x=1", "http://[::1]:80/v1?x=1"),
        ("secrets.exclude", '["HTTPS://GHCR.io/org", "index.docker.io"]', ("ghcr.io", "docker.io")),
        ("aws.identity_token_command", '["gp", "idp", "token"]', ("gp", "idp", "token")),
        ("aws.region", "us-gov-west-1", "us-gov-west-1"),
        ("google.audience", AUDIENCE, AUDIENCE),
        ("google.service_account", "a@b.iam.gserviceaccount.com", "a@b.iam.gserviceaccount.com"),
        ("azure.client_id", CLIENT, CLIENT),
        ("azure.tenant_id", "acme.onmicrosoft.com", "acme.onmicrosoft.com"),
        ("status.listen", "", ""),
        ("status.listen", "[::1]:80", "[::1]:80"),
        ("status.listen", "localhost:80", "localhost:80"),
        ("status.listen", "[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
        ("status.allow_hosts", '["*.Example.com", "10.0.0.1"]', ("*.example.com", "10.0.0.1")),
        ("status.allow_hosts", '["[0:0::A]"]', ("[::a]",)),
        ("status.allow_origins", '["https://Dash.example.com/"]', ("https://dash.example.com",)),
        (
            "status.allow_origins",
            '["https://a.example:443", "http://a.example:80"]',
            ("https://a.example", "http://a.example"),
        ),
        ("status.allow_origins", '["https://a.example:0080"]', ("https://a.example:80",)),
        ("status.allow_origins", '["http://[0::1]:8080", "app://x"]', ("http://[::1]:8080", "app://x")),
        ("report.url", "http://collector.example.com/x", "http://collector.example.com/x"),
        ("log.level", "WARNING", "warning"),
    ],
)
def test_a_variable_sets_any_key(tmp_path: Path, key: str, text: str, expected: object) -> None:
    """Numbers and words are plain text, lists are JSON."""
    variable = "REGISTRY_AGENT_" + key.upper().replace(".", "_")
    loaded = load(tmp_path, "", {variable: text})
    assert (value(loaded.settings, key), loaded.problems) == (expected, ())


@pytest.mark.parametrize(
    ("key", "toml"),
    [
        ("secrets.directories", '"/a"'),
        ("secrets.directories", '["a/b"]'),
        ("secrets.directories", "[1]"),
        ("secrets.environment", '"true"'),
        ("secrets.environment", "1"),
        ("secrets.url", '"http://secrets.example.com/"'),
        ("secrets.url", '"ftp://localhost/"'),
        ("secrets.url", '"localhost:80"'),
        ("secrets.url", '"https://"'),
        ("secrets.url", '"https://host:port/"'),
        ("secrets.url", '"unix:relative.sock"'),
        ("secrets.token_file", '"token"'),
        ("secrets.poll_interval_s", "0"),
        ("secrets.poll_interval_s", "-1"),
        ("secrets.poll_interval_s", "inf"),
        ("secrets.poll_interval_s", "nan"),
        ("secrets.poll_interval_s", "true"),
        ("secrets.poll_interval_s", '"60"'),
        ("secrets.poll_interval_s", "1979-05-27"),
        ("secrets.removed", '"delete"'),
        ("secrets.exclude", '["a b"]'),
        ("renewal.fraction", "1"),
        ("renewal.fraction", "0"),
        ("renewal.check_interval_s", "-1"),
        ("renewal.check_interval_s", "false"),
        ("aws.region", '"Ireland"'),
        ("aws.role_arn", '"pull"'),
        ("aws.identity_token_command", '"gp idp token"'),
        ("google.audience", '"https://iam.googleapis.com/projects/1"'),
        ("google.audience", '"//iam.evil.example/projects/1"'),
        ("google.service_account", '"ada@acme.example"'),
        ("azure.client_id", '"my-identity"'),
        ("azure.tenant_id", '"../common"'),
        ("azure.tenant_id", '"common"'),
        ("aws.identity_token_command", '[""]'),
        ("status.listen", '"8719"'),
        ("status.listen", '"127.0.0.1:65536"'),
        ("status.listen", '"::1:80"'),
        ("status.listen", "8719"),
        ("status.allow_hosts", '["a:80"]'),
        ("status.allow_hosts", '["[::1::2]"]'),
        ("status.allow_origins", '["dash.example.com"]'),
        ("status.allow_origins", '["https://dash.example.com:99999"]'),
        ("log.level", '"loud"'),
        ("log.format", "[]"),
    ],
)
def test_a_key_with_a_wrong_value_keeps_its_default(tmp_path: Path, key: str, toml: str) -> None:
    """The message shows the key and the file, and the hint what to write. All other keys keep their settings."""
    section, _, name = key.partition(".")
    other = "[report]\ninterval_s = 7\n"
    loaded = load(tmp_path, f"{other}[{section}]\n{name} = {toml}\n")
    problem = only_problem(loaded)
    assert value(loaded.settings, key) == DEFAULTS[key]
    assert loaded.settings.report.interval_s == 7
    assert problem.subject == key
    assert problem.message.startswith(f"{key} ")
    assert str(tmp_path / "config.toml") in problem.message
    assert problem.hint != SettingsInvalid.hint


def test_zero_means_never_where_that_makes_sense(tmp_path: Path) -> None:
    loaded = load(tmp_path, "[renewal]\ncheck_interval_s = 0\n")
    assert (loaded.settings.renewal.check_interval_s, loaded.problems) == (0.0, ())


def test_one_of_the_two_waits_adjusts_the_default_of_the_other(tmp_path: Path) -> None:
    """If both are set and contradict each other, both are reported."""
    short = load(tmp_path, "[retry]\nmax_wait_s = 0.5\n").settings.retry
    assert (short.first_wait_s, short.max_wait_s) == (0.5, 0.5)
    long = load(tmp_path, "[retry]\nfirst_wait_s = 301\n").settings.retry
    assert (long.first_wait_s, long.max_wait_s) == (301, 301)
    both = load(tmp_path, "[retry]\nfirst_wait_s = 9\nmax_wait_s = 8\n")
    assert [problem.subject for problem in both.problems] == ["retry.first_wait_s", "retry.max_wait_s"]
    assert (both.settings.retry.first_wait_s, both.settings.retry.max_wait_s) == (1, 300)


@pytest.mark.parametrize(
    ("first", "longest", "waits", "wrong"),
    [
        ("-1", "0.5", (0.5, 0.5), "retry.first_wait_s"),
        ("soon", "0.5", (0.5, 0.5), "retry.first_wait_s"),
        ("1000", "-5", (1000, 1000), "retry.max_wait_s"),
    ],
)
def test_a_wrong_wait_leaves_the_other_as_it_is(
    tmp_path: Path, first: str, longest: str, waits: tuple[float, float], wrong: str
) -> None:
    """The wrong one counts as not set, so its default gives way, and only its own fault is reported."""
    loaded = load(tmp_path, "", {}, **{"retry.first_wait_s": first, "retry.max_wait_s": longest})
    assert (loaded.settings.retry.first_wait_s, loaded.settings.retry.max_wait_s) == waits
    assert only_problem(loaded).subject == wrong


def test_an_empty_variable_is_not_set(tmp_path: Path) -> None:
    """Compose files pass on unset variables with an empty value. Only for status.listen, empty has a meaning: off."""
    names = ("SECRETS_EXCLUDE", "SECRETS_ENVIRONMENT", "LOG_LEVEL", "AWS_REGION", "RETRY_MAX_WAIT_S", "STATUS_LISTEN")
    loaded = load(tmp_path, "", {f"REGISTRY_AGENT_{name}": "" for name in names})
    assert loaded.problems == ()
    assert loaded.settings.log.level == "info"
    assert loaded.settings.status.listen == ""


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_variable_or_flag_leaves_the_value_of_the_file(tmp_path: Path, empty: str) -> None:
    """It counts as not set, so it overrides nothing. An unknown key is still reported if it is a flag."""
    toml = '[aws]\nprofile = "dev"\n[retry]\nfirst_wait_s = 400\n[status]\nlisten = "127.0.0.1:1"\n'
    variables = dict.fromkeys(("REGISTRY_AGENT_AWS_PROFILE", "REGISTRY_AGENT_AWS_NOTHING"), empty)
    flags = dict.fromkeys(("retry.first_wait_s", "retry.max_wait_s", "status.listen", "log.nothing"), empty)
    loaded = load(tmp_path, toml, variables, **flags)
    assert (loaded.settings.aws.profile, loaded.settings.status.listen) == ("dev", "")
    assert (loaded.settings.retry.first_wait_s, loaded.settings.retry.max_wait_s) == (400, 400)
    assert only_problem(loaded).subject == "log.nothing"


@pytest.mark.parametrize(
    "key", ["secrets.directories", "secrets.exclude", "status.allow_hosts", "status.allow_origins"]
)
@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_item_of_a_list_is_not_set(tmp_path: Path, key: str, empty: str) -> None:
    """Templates write one for a variable that nobody has set. It never means the working directory."""
    value = {"secrets.directories": "/a", "status.allow_origins": "https://a.io"}.get(key, "a.io")
    variable = f"REGISTRY_AGENT_{key.upper().replace('.', '_')}"
    given, blank = (load(tmp_path, "", {variable: json.dumps(items)}) for items in ([value, empty], [empty]))
    assert (given.problems, blank.problems) == ((), ())
    assert [str(item) for item in attrgetter(key)(given.settings)] == [value]
    assert attrgetter(key)(blank.settings) == DEFAULTS[key]


def test_a_blank_variable_names_no_settings_file() -> None:
    """The default file counts, and it may be missing."""
    loaded = load_settings(None, {**ENVIRON, "REGISTRY_AGENT_CONFIG": " "}, {})
    assert (loaded.problems, loaded.file) == ((), None)


def test_a_comma_list_in_a_variable_is_refused_with_a_hint(tmp_path: Path) -> None:
    """The hint shows a JSON list, and the message shows the variable."""
    problem = only_problem(load(tmp_path, "", {"REGISTRY_AGENT_SECRETS_EXCLUDE": "a.io,b.io"}))
    assert "REGISTRY_AGENT_SECRETS_EXCLUDE" in problem.message
    assert '["ghcr.io"]' in problem.hint


@pytest.mark.parametrize("listen", ["0.0.0.0:8719", "[::]:8719", "10.0.0.1:80", "box.example.com:80"])
def test_a_status_address_that_is_not_loopback_needs_a_token(tmp_path: Path, listen: str) -> None:
    """Without status.token_file, TCP is off."""
    refused = load(tmp_path, f'[status]\nlisten="{listen}"')
    assert (refused.settings.status.listen, only_problem(refused).subject) == ("", "status.listen")
    allowed = load(tmp_path, f'[status]\nlisten="{listen}"\ntoken_file="/t"')
    assert (allowed.settings.status.listen, allowed.problems) == (listen, ())


def test_a_report_over_http_sends_its_token_only_to_loopback(tmp_path: Path) -> None:
    """A bearer token is never sent over the network in plain text."""
    far = load(tmp_path, '[report]\nurl="http://c.example.com/"\ntoken_file="/t"')
    assert (far.settings.report.url, only_problem(far).subject) == (None, "report.url")
    near = load(tmp_path, '[report]\nurl="http://127.0.0.1:1/"\ntoken_file="/t"')
    assert (near.settings.report.url, near.problems) == ("http://127.0.0.1:1/", ())


@pytest.mark.parametrize("key", ["secrets.url", "report.url"])
def test_a_password_in_an_address_is_refused_and_never_shown(tmp_path: Path, key: str) -> None:
    """Neither the settings nor the problem contain it."""
    loaded = load(tmp_path, "", {}, **{key: "https://user:hunter2@example.com/"})
    problem = only_problem(loaded)
    assert problem.subject == key
    assert "hunter2" not in problem.message + problem.hint + repr(loaded.settings)


@pytest.mark.parametrize(
    ("toml", "environ", "flag", "subject", "hint"),
    [
        ("[secrets]\npoll_intervall_s=1", {}, "", "secrets.poll_intervall_s", "did you mean secrets.poll_interval_s?"),
        ("[statuss]\nlisten=''", {}, "", "statuss", "did you mean status?"),
        ("listen='x:1'", {}, "", "listen", "did you mean status.listen?"),
        ("", {"REGISTRY_AGENT_LOG_LEVELL": "x"}, "", "log.levell", "did you mean log.level?"),
        ("", {}, "renewal.fractoin", "renewal.fractoin", "did you mean renewal.fraction?"),
        ("status=1", {}, "", "status", "write [status] on a separate line"),
    ],
)
def test_an_unknown_setting_is_reported(  # noqa: PLR0917 - one column of the table each
    tmp_path: Path, toml: str, environ: dict[str, str], flag: str, subject: str, hint: str
) -> None:
    """A typo is never ignored silently, whether it is in the file, a variable or a flag."""
    problem = only_problem(load(tmp_path, toml, environ, **({flag: "1"} if flag else {})))
    assert (problem.subject, problem.hint) == (subject, hint)


def test_variables_that_are_not_settings_are_ignored(tmp_path: Path) -> None:
    """These are the variable for secrets, the one for the file, and those of other programs."""
    names = ("REGISTRY_AGENT_SECRETS", "REGISTRY_AGENT_CONFIG", "REGISTRY_AGENT_FOO", "REGISTRY_AGENTS_LOG_LEVEL")
    assert load(tmp_path, "", dict.fromkeys(names, "x")).problems == ()


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (str, "there is no such file"),
        (lambda path: path.write_text("[log]\nlevel = debug\n"), "line 2"),
        (lambda path: path.write_bytes(b"log.level = '\xff'"), "not UTF-8"),
        (lambda path: path.write_text("a=" + "[" * 5000), "too deeply"),
        (lambda path: path.write_text("a=" + "9" * 5000), "not TOML"),
        (lambda path: path.write_bytes(b"#" * (1024 * 1024 + 1)), "larger than 1 MiB"),
        (lambda path: path.mkdir(), "not a regular file"),
        (os.mkfifo, "not a regular file"),
        (lambda path: path.symlink_to(path), "symbolic links"),
    ],
)
def test_an_unusable_file_results_in_the_defaults(tmp_path: Path, make: Callable[[Path], object], fault: str) -> None:
    """The subject of the problem is the file. Variables and flags still count."""
    file = tmp_path / "config.toml"
    make(file)
    loaded = load_settings(file, ENVIRON | {"REGISTRY_AGENT_LOG_LEVEL": "debug"}, {})
    problem = only_problem(loaded)
    assert problem.subject == str(file)
    assert fault in problem.message
    assert (loaded.settings.log.level, loaded.settings.log.format) == ("debug", "auto")
    assert loaded.file_faults == (problem,)


def test_the_faults_of_the_file_are_those_that_do_not_exist_without_it(tmp_path: Path) -> None:
    """Only these make a reload fail. Faults in the environment and in flags stay as long as the agent runs."""
    wrong = {"REGISTRY_AGENT_RETRY_MAX_WAIT_S": "abc"}
    assert not load(tmp_path, '[log]\nlevel = "debug"', wrong).file_faults
    (fault,) = load(tmp_path, '[log]\nlevel = "loud"', wrong).file_faults
    assert fault.subject == "log.level"
    early = {"REGISTRY_AGENT_RETRY_FIRST_WAIT_S": "400"}
    assert not load(tmp_path, "", early).problems
    assert {fault.subject for fault in load(tmp_path, "[retry]\nmax_wait_s = 300", early).file_faults} == {
        "retry.first_wait_s",
        "retry.max_wait_s",
    }
    assert load(tmp_path, "[", wrong).file_faults[0].subject.endswith(".toml")


def test_a_file_from_windows_is_read(tmp_path: Path) -> None:
    """It may have a byte order mark and Windows line ends."""
    file = tmp_path / "config.toml"
    file.write_bytes(b'\xef\xbb\xbf[log]\r\nlevel = "debug"\r\n')
    loaded = load_settings(file, ENVIRON, {})
    assert (loaded.settings.log.level, loaded.problems) == ("debug", ())


@given(content=st.binary(max_size=200), key=st.sampled_from(KEYS), text=st.text(max_size=60))
def test_loading_never_raises(tmp_path_factory: pytest.TempPathFactory, content: bytes, key: str, text: str) -> None:
    """Whatever is in the file or in a variable, the result is settings of the right types."""
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(content)
    variable = "REGISTRY_AGENT_" + key.upper().replace(".", "_")
    settings = load_settings(file, ENVIRON | {variable: text}, {key: text}).settings
    assert isinstance(settings.retry.first_wait_s, float)
    assert 0 < settings.renewal.fraction < 1


def test_assignments_are_split_at_the_first_equals_sign() -> None:
    """For a repeated key, the last one counts. The error about a wrong form does not show the value."""
    assert parse_assignments(["log.level=info", "LOG.level=debug", "report.url=https://a/?b=c"]) == {
        "log.level": "debug",
        "report.url": "https://a/?b=c",
    }
    with pytest.raises(ValueError, match=r"SECTION\.KEY=VALUE") as caught:
        parse_assignments(["hunter2"])
    assert "hunter2" not in str(caught.value)
