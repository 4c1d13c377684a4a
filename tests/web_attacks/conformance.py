"""Runs schemathesis: the agent must answer every request that its OpenAPI document allows as documented."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.rig.namespace import environment
from tests.web_attacks.target import HOST, TOKEN, Target

_PROGRAM: Final = Path(sys.executable).with_name("schemathesis")
PHASES: Final = ("examples", "coverage", "fuzzing")
ALL_PHASES: Final = (*PHASES, "stateful")
_LONGEST_WAIT_S: Final = 65
"""Longer than the agent delays an answer."""
_EXCEPTIONS: Final = """
# An event stream has no end.
[[operations]]
include-path = "/v1/events"
enabled = false

# No schema can say which texts are host names.
[[operations]]
include-path = "/v1/renew"
checks.positive_data_acceptance.enabled = false
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """The number of requests, and schemathesis' output if it found an error."""

    cases: int
    faults: str


def ask(
    target: Target, token: str | None, home: Path, *, examples: int, seed: int, phases: Sequence[str] = PHASES
) -> Asked:
    """Run all its checks, with `examples` random requests per operation and those that it derives itself."""
    address = f"http://{HOST}:{target.port}"
    description = home / "openapi.json"
    request = urllib.request.Request(f"{address}/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"})  # noqa: S310 - the agent's
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - the agent's
        description.write_bytes(answer.read())
    options = [
        f"--url={address}",
        "--checks=all",
        f"--phases={','.join(phases)}",
        f"--max-examples={examples}",
        f"--seed={seed}",
    ]
    options += [f"--request-timeout={_LONGEST_WAIT_S}", *([f"--header=Authorization: Bearer {token}"] if token else [])]
    return _run(home, [str(description), *options])


def _run(home: Path, options: list[str]) -> Asked:
    report, configuration = home / "report.json", home / "schemathesis.toml"
    configuration.write_text(_EXCEPTIONS)
    done = subprocess.run(
        [_PROGRAM, "--no-color", f"--config-file={configuration}", "run", *options, f"--report-json-path={report}"],
        cwd=home,
        env=environment(HOME=str(home)),
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    result = json.loads(report.read_text())
    assert result["complete"], done.stdout + done.stderr
    assert result["operations"]["tested"] == result["operations"]["selected"], done.stdout
    return Asked(result["test_cases"]["generated"], done.stdout if done.returncode else "")
