"""The agent's memory with a Google or an Azure secret, compared with a secret that has a password."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from ssl import SSLContext
from typing import Final

from agent.demo.listener import Handler, Listener
from agent.demo.registries import Auth, BasicAuth
from agent.demo.tls import AUTHORITY, server_context
from bench.bench import Bench, scratch
from bench.figure import Figure
from bench.serving import Secret, agent, settled
from tests.codes.here import Here
from tests.fakecloud.azure import AzureAuth, PretendAzure
from tests.fakecloud.google import GoogleAuth, PretendGoogle
from tests.fakecloud.registries import PretendRegistry

_REACH: Final = 1.15
_QUIET_S: Final = 3.0
"""The wait after the first login, while the agent checks the tools."""
_LOGIN: Final = {"username": "bench", "password": "made up"}
_NATIVE: Final = {"username": "runner-native", "password": "runner-native"}


def measure(bench: Bench) -> list[Figure]:
    with ExitStack() as stack:
        authority = stack.enter_context(scratch()) / "authority.pem"
        authority.write_text(AUTHORITY, encoding="utf-8")
        here = Here()
        stack.callback(here.close)

        def serve(handle: Handler, tls: SSLContext | None = None) -> Listener:
            listener = Listener(handle, tls=tls)
            stack.callback(lambda: here.call(listener.close()))
            here.call(listener.up())
            return listener

        def registry(auth: Auth) -> str:
            return serve(PretendRegistry(auth).handle, server_context()).address

        google, azure = PretendGoogle(), PretendAzure()
        env = {
            "SSL_CERT_FILE": str(authority),
            "GCE_METADATA_HOST": serve(google.handle).address,
            "AZURE_POD_IDENTITY_AUTHORITY_HOST": serve(azure.handle).url,
        }
        password = {"hostname": registry(BasicAuth({_LOGIN["username"]: _LOGIN["password"]})), **_LOGIN}
        gar = {"hostname": registry(GoogleAuth(google)), "kind": "gar", **_NATIVE}
        acr = {"hostname": registry(AzureAuth(azure)), "kind": "acr", **_NATIVE}
        return [_figure(bench, cloud, secret, password, env) for cloud, secret in (("Google", gar), ("Azure", acr))]


def _figure(bench: Bench, cloud: str, secret: Secret, password: Secret, env: Mapping[str, str]) -> Figure:
    turns = bench.turns(lambda: _memory_kb(bench, secret, env), lambda: _memory_kb(bench, password, env))
    return Figure(f"memory with a secret of {cloud}", "the agent with a password", "kB", _REACH, turns)


def _memory_kb(bench: Bench, secret: Secret, env: Mapping[str, str]) -> float:
    with agent(bench, [{"name": "bench", **secret}], **env) as ours:
        (row,) = ours.wait_for(settled)["registries"]
        if row["state"] != "logged_in":
            raise RuntimeError(f"not logged in: {row['last_error']}\n{ours.log()}")
        time.sleep(_QUIET_S)
        return ours.memory_kb()
