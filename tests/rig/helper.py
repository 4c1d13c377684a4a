"""Installs the credential helper where docker finds it."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from agent.helper import docker_credential_registry_agent as program
from tests.rig.agent import forms
from tests.rig.files import contents

NAME = "docker-credential-registry-agent"


def install_helper(directory: Path, python: str | Path = sys.executable) -> Path:
    """Put the program into `directory`, atomically, for this interpreter."""
    unfinished = directory / "helper.new"
    unfinished.write_text(f"#!{python} -ISE\n{Path(program.__file__).read_text()}")
    unfinished.chmod(0o755)
    return unfinished.replace(directory / NAME)


def ask_helper(helper: Path, server: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Ask as docker does."""
    return subprocess.run([helper, "get"], input=server, capture_output=True, text=True, env=env, check=False)


def password_from(helper: Path, server: str, env: Mapping[str, str]) -> str:
    done = ask_helper(helper, server, env)
    assert done.returncode == 0, done
    return str(json.loads(done.stdout)["Secret"])


def secret_files(directory: Path, *secrets: str, without: Path) -> list[Path]:
    """The files below `directory` that contain one of the secrets in any form, apart from those in `without`."""
    others = ((path, content) for path, content in contents(directory) if not path.is_relative_to(without))
    sought = [form for secret in secrets for form in forms(secret)]
    return [path for path, content in others if any(form in content for form in sought)]
