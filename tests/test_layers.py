"""Imports between packages run one way, and nothing heavy is loaded before it is needed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

AGENT = Path(__file__).parent.parent / "agent"
MODEL = {"model"}
THREADS = {"blocking"}
# Which packages each package may import from, apart from itself. `demo` is a separate program next to the agent.
ALLOWED = {
    "model": set(),
    "settings": MODEL,
    "settings_loader": MODEL | THREADS | {"settings", "edge"},
    "blocking": set(),
    "edge": MODEL | THREADS | {"settings"},
    "ports": MODEL,
    "services": MODEL | THREADS | {"settings", "ports"},
    "observe": MODEL | THREADS | {"settings", "ports"},
    "web": MODEL | THREADS | {"settings", "ports"},
    "bootstrap": MODEL | {"settings", "edge", "services", "observe", "web", ""},
    "wiring": MODEL | THREADS | {"settings", "edge", "ports", "services", "observe", "web", "bootstrap", ""},
    "settings_updates": MODEL | {"settings", "settings_loader", "bootstrap"},
    "app": MODEL | THREADS | {"settings_loader", "settings_updates", "edge", "ports", "bootstrap", "wiring", ""},
    "demo": {""},
    "helper": set(),
    "support": MODEL | THREADS | {"settings", "settings_loader", "edge", "observe", ""},
    # doctor uses the agent's own login, rejections and overrides without the agent, so it builds services itself.
    "doctor": MODEL | THREADS | {"settings", "settings_loader", "edge", "services", "observe", ""},
    "cli": MODEL | {"settings", "settings_loader", "edge", "app", "demo", "doctor", "support", ""},
    "__main__": MODEL | {"cli", ""},
    "__init__": set(),
}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "const", "manager", "handler"}
FILES = sorted(AGENT.rglob("*.py"))


def package(path: Path) -> str:
    if path == AGENT / "services" / "ports.py":
        return "ports"
    return path.relative_to(AGENT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The packages of `agent` that a file imports from. '' means `agent` itself."""
    packages = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module] if node.module != "agent" else [f"agent.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            first, _, rest = name.partition(".")
            if first == "agent":
                found = "ports" if rest.startswith("services.ports") else rest.split(".")[0]
                packages.add("" if rest.startswith("__") else found)
    return packages


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(AGENT)))
def test_imports_run_one_way(path: Path) -> None:
    """A file imports only from the packages that its own package may use."""
    assert imported(path) <= ALLOWED[package(path)] | {package(path)}


def attributes(path: Path) -> set[str]:
    return {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}


AGENT_FILES = [path for path in FILES if package(path) != "demo"]


def test_threads_are_started_in_one_place() -> None:
    """Everything that may block goes through `blocking.py`. The pool of asyncio has no limit for each kind of call."""
    own = {"blocking.py"}
    for path in AGENT_FILES:
        assert not attributes(path) & {"to_thread", "run_in_executor", "set_default_executor"}, path
        assert path.name in own or "Thread" not in attributes(path), path


def test_children_are_started_in_one_place() -> None:
    """Everything goes through `edge/process.py`, which sets the environment, the session and the deadline."""
    for path in AGENT_FILES:
        starts = attributes(path) & {
            "create_subprocess_exec",
            "create_subprocess_shell",
            "fork",
            "posix_spawn",
            "Popen",
        }
        assert path.name == "process.py" or not (starts or "import subprocess" in path.read_text()), path


def test_model_uses_only_the_standard_library() -> None:
    """Values and decisions depend on no installed package, and on no clock, event loop or file."""
    for path in (AGENT / "model").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                top = name.split(".")[0]
                assert top == "agent" or top in sys.stdlib_module_names, f"{path.name} imports {name}"
                assert top not in {"asyncio", "time", "random", "socket", "subprocess", "os"}, f"{path.name}: {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(AGENT)))
def test_file_names_are_specific(path: Path) -> None:
    """A file is named after what it contains, not `utils` or `manager`."""
    assert not FORBIDDEN_NAMES & set(path.stem.split("_")) - {"helper"} or path.stem == "credential_helper"


def test_the_daemon_loads_no_sdk_before_it_is_needed() -> None:
    """An environment without ECR never loads botocore, and no agent loads the Docker SDK."""
    heavy = "aiobotocore botocore docker prometheus_client requests tenacity"
    code = f"import sys, agent.wiring, agent.app\nprint(*(name for name in {heavy.split()!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_daemon_loads_no_cloud_before_it_is_needed() -> None:
    """An environment without a secret for Google, Azure or a command never loads the code that asks them."""
    rooms = (
        *("agent.edge.google", "agent.edge.azure", "agent.edge.password_sources"),
        *("agent.model.google_credentials", "agent.model.credential_output", "agent.model.kubelet_response"),
        *("agent.model.problems.google", "agent.model.problems.azure"),
    )
    code = f"import sys, agent.wiring, agent.app\nprint(*(n for n in sys.modules if n.startswith({rooms})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_status_does_not_load_the_server() -> None:
    """`status` starts fast, because it loads neither aiohttp nor structlog."""
    code = "import sys, agent.__main__\nprint(*(n for n in ('aiohttp', 'structlog', 'asyncio') if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("", "asyncio")


def test_the_status_answers_before_the_rest_is_loaded() -> None:
    """Modules that only logins need are loaded after the status server has started."""
    code = "import sys, agent.app, agent.cli.run\nprint(*sorted(n for n in sys.modules if n.startswith('agent.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "agent.web.server" in loaded
    services = {name for name in loaded if name.startswith("agent.services.")}
    assert services == {"agent.services.board", "agent.services.ports"}
    assert "agent.wiring" not in loaded


def test_a_command_does_not_load_the_others() -> None:
    """Otherwise each start of the daemon would also load the demo and doctor."""
    code = (
        "import sys, agent.__main__ as m\nm.parser(['status'])\nprint(*(n for n in sys.modules if 'agent.cli.' in n))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"agent.cli.status", "agent.cli.status_view", "agent.cli.terminal"}


def test_no_ca_certificates_are_loaded_before_tls_is_used(tmp_path: Path) -> None:
    """An import of aiohttp loads the system's: 30 ms and 2 MB for a TLS context that the agent never uses."""
    code = (
        "import os, agent.cli.run, agent.__main__ as m\n"
        "def leave(code):\n"
        "    import aiohttp.connector as c\n"
        "    print('authorities', c._SSL_CONTEXT_VERIFIED.cert_store_stats()['x509_ca'])\n"
        "os._exit = leave\n"
        f"m.main(['run', '--once', '--set', 'secrets.directories=[\"{tmp_path}/none\"]'])\n"
    )
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "RUNTIME_DIRECTORY": str(tmp_path),
        "STATE_DIRECTORY": str(tmp_path),
        "PYTHONPATH": str(AGENT.parent),
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "authorities 0", done.stdout
