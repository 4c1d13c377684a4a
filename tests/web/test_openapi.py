"""The OpenAPI document matches the server."""

import json
from importlib import resources
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # its stubs are a package of their own
from openapi_spec_validator import validate

from agent.model.problems.registry import LoginRejected
from agent.model.secret import Kind, Scope
from agent.model.status import Engine, State, Tool, Tools
from tests.web.serving import Serving, serving

SPEC: dict[str, Any] = json.loads(resources.files("agent.web").joinpath("openapi.json").read_text())


def schema(name: str) -> dict[str, Any]:
    return {**SPEC["components"]["schemas"][name], "components": SPEC["components"]}


def strict(node: Any) -> Any:
    """Return the same schema, but refuse every field that it does not describe."""
    if isinstance(node, list):
        return [strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: strict(value) for key, value in node.items()} | (
        {"additionalProperties": False} if node.get("type") == "object" and "properties" in node else {}
    )


def test_it_is_valid_openapi() -> None:
    """Every tool that reads OpenAPI 3.1 can read it."""
    validate(SPEC)


async def test_describes_exactly_the_routes_of_the_server() -> None:
    """GET /openapi.json lists each path and method that the server answers."""
    async with serving() as rig, rig.on_tcp() as tcp:
        answer = await (await tcp.get("/openapi.json")).json()
        assert answer == SPEC
    routes = {(route.path, route.method.lower()) for route in rig.routes.table()}
    described = {(path, method) for path, methods in SPEC["paths"].items() for method in methods}
    assert described == routes


def full_document(rig: Serving) -> dict[str, Any]:
    rig.log_in()
    rig.board.set_tools(Tools(Tool("/usr/bin/docker", "28.2.2"), Tool(), Engine.UNREACHABLE))
    rig.board.clock_jumped()
    rig.board.report("a", [LoginRejected("ghcr.io", "no"), LoginRejected("quay.io", "no")])
    rig.board.report("a", [LoginRejected("ghcr.io", "no")])
    document: dict[str, Any] = json.loads(rig.document.encode(rig.board.snapshot))
    return document


async def test_real_answers_match_their_schemas() -> None:
    """A full document and an empty one match field by field, and the schema describes every field."""
    async with serving() as rig, rig.on_tcp() as tcp:
        empty = await (await tcp.get("/v1/status")).json()
        for document in (empty, full_document(rig)):
            jsonschema.validate(document, strict(schema("Status")))
        jsonschema.validate(await (await tcp.get("/nothing")).json(), strict(schema("Error")))


def test_enums_match_the_code() -> None:
    """The document lists every state, scope and kind that a row can have."""
    row = SPEC["components"]["schemas"]["Registry"]["properties"]
    assert row["state"]["enum"] == list(State)
    assert row["scope"]["enum"] == list(Scope)
    assert row["kind"]["enum"] == [kind for kind in Kind if kind is not Kind.AUTO]
