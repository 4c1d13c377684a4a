"""A stub agent: it connects to each registry and logs events, until SIGTERM.

Arguments: the settings file, then `dies` to exit at once, or `fails` to never renew a login.
"""

import asyncio
import json
import signal
import sys
import tomllib
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any


def log(level: str, event: str, **fields: object) -> None:
    print(  # noqa: T201 - its log is its output
        json.dumps({"time": after(0), "level": level, "event": event, **fields}), flush=True
    )


def after(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def log_in(secret: dict[str, Any], *, renews: bool) -> None:
    hostname = secret["hostname"]
    if secret.get("password", "").startswith("not-"):
        warning(hostname, "login_rejected")
        return
    port = int(hostname.partition(":")[2])
    warned = False
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            break
        if not warned:
            warning(hostname, "registry_unreachable")
        warned = True
        await asyncio.sleep(0.02)
    if warned:
        log("info", "warning.cleared", code="registry_unreachable", subject=hostname)
    succeeded(secret, 30)
    if renews:
        await asyncio.sleep(1.1)
        succeeded(secret, 60)


def warning(hostname: str, code: str) -> None:
    log("warning", "warning.raised", code=code, subject=hostname, message=f"{hostname} failed", hint="fix it")


def succeeded(secret: dict[str, Any], life_s: float) -> None:
    end, renewal = after(life_s), after(life_s / 2)
    names = {"registry": secret["hostname"], "secret": secret["name"]}
    log("info", "login.succeeded", **names, expires_at=end, renew_at=renewal)


async def run(config: Path, *, renews: bool) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    directory = Path(tomllib.loads(config.read_text())["secrets"]["directories"][0])
    secrets = [json.loads(file.read_text()) for file in sorted(directory.glob("*.json"))]
    logins = [asyncio.create_task(log_in(secret, renews=renews)) for secret in secrets]
    await stop.wait()
    for login in logins:
        login.cancel()


if __name__ == "__main__":
    if "dies" in sys.argv:
        sys.exit("the stub died, as requested")
    asyncio.run(run(Path(sys.argv[1]), renews="fails" not in sys.argv))
