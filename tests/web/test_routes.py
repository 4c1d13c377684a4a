"""The answer to each request."""

import asyncio
import json

import pytest

from agent.model.problems.registry import LoginRejected
from agent.model.status import Phase, Tool, Tools
from agent.web.responses import SECURITY_HEADERS
from tests.rig.waiting import PATIENCE_S
from tests.web.serving import Serving, raw, serving


async def test_the_document_is_the_same_on_the_socket_and_over_tcp() -> None:
    """GET /v1/status returns the whole document, with its revision in a weak ETag."""
    async with serving() as rig, rig.on_tcp() as tcp, rig.on_socket() as unix:
        rig.log_in()
        await rig.clock.advance(12.34)
        answers = [await session.get("/v1/status") for session in (tcp, unix)]
        documents = [await answer.json() for answer in answers]
        assert documents[0] == documents[1]
        assert documents[0] == rig.board.snapshot.as_json(rig.clock.now(), 12.3)
        assert [answer.headers["ETag"] for answer in answers] == ['W/"start-1"'] * 2
        assert answers[0].headers["Cache-Control"] == "no-cache"
        assert answers[0].headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("request_line", ["get /livez HTTP/1.1", "GET /livez HTTP/9.9", "nonsense"])
async def test_a_malformed_request_gets_the_same_headers(request_line: str) -> None:
    """They do not name the library that serves."""
    async with serving() as rig:
        head = (await raw(rig, f"{request_line}\r\n\r\n".encode())).partition(b"\r\n\r\n")[0].decode()
    for name, value in SECURITY_HEADERS.items():
        assert head.count(f"{name}: ") == head.count(f"\r\n{name}: {value}") == 1


async def test_many_cookies_of_other_programs_are_accepted() -> None:
    """Browsers send the cookies of every program on localhost. The answer says so if they are too many."""
    async with serving() as rig:
        kept, refused = [await _with_cookies(rig, length) for length in (32000, 33000)]
    assert " 200 " in kept.splitlines()[0]
    assert " 400 " in refused.splitlines()[0]
    assert "a header is longer than 32 KiB; in a browser, delete the cookies of this host" in refused
    assert "ccc" not in refused


async def _with_cookies(rig: Serving, length: int) -> str:
    return (await raw(rig, b"GET /livez HTTP/1.1\r\nHost: localhost\r\nCookie: %b\r\n\r\n" % (b"c" * length))).decode()


async def test_now_moves_without_a_new_revision() -> None:
    """A document that is encoded only once still has the time of each answer."""
    async with serving() as rig, rig.on_tcp() as tcp:
        before = await (await tcp.get("/v1/status")).json()
        await rig.clock.advance(60)
        after = await (await tcp.get("/v1/status")).json()
        assert (before["now"], after["now"]) == ("2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z")
        assert after["uptime_s"] - before["uptime_s"] == 60
        assert before["revision"] == after["revision"]


@pytest.mark.parametrize("given", ['W/"start-0"', '"start-0"', '"other", W/"start-0"', "*"])
async def test_unchanged_is_304(given: str) -> None:
    """If-None-Match supports lists and `*`, and compares weakly."""
    async with serving() as rig, rig.on_tcp() as tcp:
        answer = await tcp.get("/v1/status", headers={"If-None-Match": given})
        assert (answer.status, await answer.read()) == (304, b"")
        assert answer.headers["ETag"] == 'W/"start-0"'
        rig.log_in()
        changed = await tcp.get("/v1/status", headers={"If-None-Match": given})
        assert changed.status == (304 if given == "*" else 200)


async def test_long_poll_answers_at_the_change() -> None:
    """With `since` and `wait`, the answer waits while that revision is current, and arrives with the next one."""
    async with serving() as rig, rig.on_tcp() as tcp:
        held = asyncio.create_task(tcp.get("/v1/status", params={"since": 0, "wait": 60}))
        await tcp.get("/livez")
        assert not held.done()
        rig.log_in()
        async with asyncio.timeout(30):
            assert (await (await held).json())["revision"] == 1


async def test_long_poll_ends_after_its_wait() -> None:
    """If nothing changes within `wait`, it returns the current document. If `since` is another revision, at once."""
    async with serving() as rig, rig.on_tcp() as tcp, asyncio.timeout(PATIENCE_S):
        for query in ({"since": "0", "wait": "0.05"}, {"since": "7", "wait": "9999"}, {"since": "0"}):
            answer = await tcp.get("/v1/status", params=query)
            assert (answer.status, (await answer.json())["revision"]) == (200, 0)
        assert rig.board.snapshot.revision == 0


@pytest.mark.parametrize("query", ["since=x", "since=0&wait=soon", "since=0&wait=nan", "since=0&wait=-1", "since="])
async def test_an_invalid_parameter_is_400(query: str) -> None:
    """The error names the parameter, in JSON."""
    async with serving() as rig, rig.on_tcp() as tcp:
        answer = await tcp.get(f"/v1/status?{query}")
        error = (await answer.json())["error"]
        assert (answer.status, error["code"]) == (400, "bad_request")
        assert "since" in error["message"] or "wait" in error["message"]


async def test_logs_are_json_lines() -> None:
    """It returns the last N events, at most 1000, the newest last."""
    async with serving() as rig, rig.on_tcp() as tcp:
        answer = await tcp.get("/v1/logs", params={"lines": 2})
        assert answer.content_type == "application/x-ndjson"
        assert [json.loads(line)["event"] for line in (await answer.text()).splitlines()] == ["n1198", "n1199"]
        for query, expected in (({"lines": 5000}, 1000), ({}, 1000), ({"lines": 0}, 0)):
            text = await (await tcp.get("/v1/logs", params=query)).text()
            assert len(text.splitlines()) == expected
        assert (await tcp.get("/v1/logs", params={"lines": "all"})).status == 400


@pytest.mark.parametrize("body", [b'{"hostname": "https://GHCR.io/v2/"}', b'{"hostname": " ghcr.io "}'])
async def test_renew_accepts_host_names_as_people_type_them(body: bytes) -> None:
    """A host name is converted to its canonical form before the lookup."""
    async with serving() as rig, rig.on_socket() as unix:
        rig.log_in()
        answer = await unix.post("/v1/renew", data=body)
        assert (answer.status, await answer.json()) == (202, {"attempt_ids": ["a1"]})
        assert rig.renewals.asked == ["ghcr.io"]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"hostname": null}'])
async def test_renew_without_a_name_means_all(body: bytes) -> None:
    """This holds without a body, without a hostname, and for null."""
    async with serving() as rig, rig.on_socket() as unix:
        rig.log_in()
        assert (await unix.post("/v1/renew", data=body)).status == 202
        assert rig.renewals.asked == [None]


@pytest.mark.parametrize("body", [b"", b'{"hostname": "ghcr.io"}'])
async def test_renew_waits_for_the_secrets_of_an_agent_that_has_just_started(body: bytes) -> None:
    """Before that, the agent knows no registry, and 404 would be wrong."""
    async with serving() as rig, rig.on_socket() as unix:
        asked = asyncio.create_task(unix.post("/v1/renew", data=body))
        rig.log_in("quay.io") if body else rig.board.set_tools(Tools(Tool("/usr/bin/docker", "28.2.2")))
        assert (await unix.get("/livez")).status == 200
        assert (asked.done(), rig.renewals.asked) == (False, [])
        rig.log_in("ghcr.io")
        assert (await asked).status == 202


async def test_renew_does_not_wait_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a secret source does not answer, the error shows that."""
    monkeypatch.setattr("agent.web.routes._FIRST_SECRETS_S", 0.01)
    async with serving() as rig, rig.on_socket() as unix:
        answer = await unix.post("/v1/renew", data=b'{"hostname": "quay.io"}')
        assert answer.status == 404
        assert "not every secret source has answered yet" in (await answer.json())["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"hostname": "quay.io"}', 404, "unknown_registry"),
        (b"{", 400, "bad_request"),
        (b"[" * 15000, 400, "bad_request"),
        (b"\xff", 400, "bad_request"),
        (b"[]", 400, "bad_request"),
        (b'{"hostname": 5}', 400, "bad_request"),
        (b'{"hostname": ""}', 400, "bad_request"),
        (b'{"hostname": "' + b"a" * 17000 + b'"}', 413, "too_large"),
    ],
)
async def test_renew_refuses_an_invalid_body(body: bytes, status: int, code: str) -> None:
    """Nothing is renewed, and the answer gives the reason."""
    async with serving() as rig, rig.on_socket() as unix:
        rig.board.set_phase(Phase.RUNNING)
        answer = await unix.post("/v1/renew", data=body)
        assert (answer.status, (await answer.json())["error"]["code"]) == (status, code)
        assert rig.renewals.asked == []


@pytest.mark.parametrize(("phase", "status"), [(Phase.STARTING, 503), (Phase.RUNNING, 200), (Phase.STOPPING, 503)])
async def test_ready_depends_on_the_phase_alone(phase: Phase, status: int) -> None:
    """The outcome of the attempts does not matter. /livez is 200 as long as the process runs."""
    async with serving() as rig, rig.on_tcp() as tcp:
        rig.board.report("ghcr.io", [LoginRejected("ghcr.io", "no")])
        rig.board.set_phase(phase)
        assert (await tcp.get("/readyz")).status == status
        assert (await tcp.get("/livez")).status == 200


async def test_errors_are_json_without_internal_details() -> None:
    """This covers 404, 405 with `Allow`, and 500."""
    async with serving(broken=True) as rig, rig.on_tcp() as tcp:
        missing, wrong, broken = [await tcp.get(path) for path in ("/no/such", "/v1/renew", "/metrics")]
        assert (missing.status, (await missing.json())["error"]["code"]) == (404, "not_found")
        assert (wrong.status, wrong.headers["Allow"]) == (405, "POST")
        assert (broken.status, (await broken.json())["error"]["code"]) == (500, "internal_error")
        assert "secret-in-a-traceback" not in await broken.text()
        assert "status.request_failed" in rig.log.names()


async def test_head_answers_where_get_does() -> None:
    """The headers are the same, and there is no body and no stream."""
    async with serving() as rig, rig.on_tcp() as tcp, asyncio.timeout(PATIENCE_S):
        for path in ("/v1/status", "/v1/events", "/v1/logs", "/livez", "/metrics", "/openapi.json"):
            answer = await tcp.head(path)
            assert (answer.status, await answer.read()) == (200, b""), path
        assert (await tcp.head("/readyz")).status == 503


async def test_metrics_are_text() -> None:
    """GET /metrics returns Prometheus' text format."""
    async with serving() as rig, rig.on_tcp() as tcp:
        rig.log_in()
        answer = await tcp.get("/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert 'registry_agent_registries{state="logged_in"} 1.0' in await answer.text()
