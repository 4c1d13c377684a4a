"""The structure of Docker's configuration, without its logins."""

import base64
import json
import os
from pathlib import Path

from agent.support.config_shape import shape
from tests.hunt.canary import Canary, Hunt


def test_shows_registries_stores_and_keys_but_no_login(tmp_path: Path) -> None:
    """User names are masked, except those that a registry prescribes for all users."""
    canaries = [Canary.make(name) for name in ("password", "user", "token", "header", "proxy", "ecr")]
    password, user, token, header, proxy, ecr = (canary.value for canary in canaries)

    def auth(pair: str) -> str:
        return base64.b64encode(pair.encode()).decode()

    file = tmp_path / "config.json"
    document = {
        "auths": {
            "ghcr.io": {"auth": auth(f"{user}:{password}"), "email": user},
            "quay.io": {"auth": auth(f"{user}:"), "identitytoken": token},
            "1.dkr.ecr.eu-west-1.amazonaws.com": {"auth": auth(f"AWS:{ecr}")},
            "https://index.docker.io/v1/": {},
        },
        "credsStore": "desktop",
        "credHelpers": {"public.ecr.aws": "ecr-login"},
        "HttpHeaders": {"X-Key": header},
        "proxies": {"default": {"httpProxy": f"http://u:{proxy}@p"}},
    }
    file.write_text(json.dumps(document))
    file.chmod(0o640)
    found = shape(file, str(tmp_path))
    assert found is not None
    assert Hunt(canaries).found({"shape": json.dumps(found).encode()}) == []
    assert (found["mode"], found["owner_is_me"], found["keys"]) == ("0640", True, list(document))
    assert found["helper_programs"] == {"desktop": "not on PATH", "ecr-login": "not on PATH"}
    assert found["credHelpers"] == {"public.ecr.aws": "ecr-login"}
    looks = "in the credential helper desktop"
    assert found["auths"] == {
        "ghcr.io": {"holds": "a password", "user": "[masked]", "docker_looks": looks},
        "quay.io": {"holds": "an identity token", "user": "[masked]", "docker_looks": looks},
        "1.dkr.ecr.eu-west-1.amazonaws.com": {"holds": "a password", "user": "AWS", "docker_looks": looks},
        "https://index.docker.io/v1/": {"holds": "no login", "docker_looks": looks},
    }


def test_describes_anything_at_the_path(tmp_path: Path) -> None:
    """No file, invalid JSON, a directory, a pipe, a symbolic link, and one to a missing file."""
    file = tmp_path / "config.json"
    assert shape(file, None) is None
    file.write_text('{"auths": {"x": {"auth": "hunter2hunter2"}')
    assert "hunter2" not in json.dumps(shape(file, None))
    assert "fault" in (shape(file, None) or {})
    link = tmp_path / "link"
    link.symlink_to(file)
    assert (shape(link, None) or {})["links_to"] == str(file)
    file.unlink()
    assert (shape(link, None) or {})["fault"] == "a symbolic link to a missing file"
    assert (shape(tmp_path, None) or {})["fault"].endswith(", not a regular file")
    os.mkfifo(file)
    assert (shape(file, None) or {})["fault"].endswith(", not a regular file")
