"""Files that people and programs write as Docker's config.json: collected ones, and generated ones.

Each file has a login for `HOST`, unless it is about a file without one.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any, Final

from tests.model.config_file import AUTH, HELPER, HOST, LOGIN, File, encoded, file
from tests.model.config_types import wrong_types

_SEED: Final = 28


def corpus() -> list[File]:
    """Return all files, in a fixed order. Neighbours are of different kinds, so that a part has some of each."""
    files = [*_collected(), *wrong_types(), *_texts(), *_auths(), *_keys(), *_duplicates(), *_generated()]
    Random(_SEED).shuffle(files)  # noqa: S311 - no secret
    return files


def _collected() -> Iterator[File]:
    """Files as they are found: in manuals, and as other programs write them."""
    auths = {"auths": {HOST: LOGIN}}
    others: dict[str, dict[str, Any]] = {
        "docker login": {},
        "docker's manual": {
            "HttpHeaders": {"MyHeader": "MyValue"},
            "psFormat": "table {{.ID}}\\t{{.Image}}",
            "imagesFormat": "table {{.ID}}\\t{{.Repository}}",
            "pluginsFormat": "table {{.ID}}\t{{.Name}}",
            "statsFormat": "table {{.Container}}",
            "servicesFormat": "table {{.ID}}",
            "secretFormat": "table {{.ID}}",
            "configFormat": "table {{.ID}}",
            "serviceInspectFormat": "pretty",
            "nodesFormat": "table {{.ID}}",
            "detachKeys": "ctrl-e,e",
            "credHelpers": {"awesomereg.example.org": "hip-star", "unicorn.example.com": "vcbait"},
            "plugins": {"plugin1": {"option": "value"}, "plugin2": {"anotheroption": "anothervalue"}},
            "proxies": {
                "default": {"httpProxy": "http://proxy.example:3128", "noProxy": "*.test.example,.example.org"},
                "https://manager1.mycorp.example.com:2377": {"httpsProxy": "https://proxy.example:3129"},
            },
        },
        "Docker Desktop": {
            "currentContext": "default",
            "plugins": {"-x-cli-hints": {"enabled": "true"}, "debug": {"hooks": "exec"}},
            "features": {"hooks": "true"},
        },
        "an editor's helper": {"credsStore": f"{HELPER}-missing"},
        "a helper": {"credsStore": HELPER},
        "a helper for the host": {"credHelpers": {HOST: HELPER}},
        "a helper for other hosts": {"credHelpers": {"gcr.io": "gcloud", "eu.gcr.io": "gcloud"}},
        "a helper that is switched off": {"credsStore": HELPER, "credHelpers": {HOST: ""}},
        "a helper that is null": {"credsStore": HELPER, "credHelpers": {HOST: None}},
        "an empty helper": {"credsStore": ""},
        "old settings": {"experimental": "enabled", "stackOrchestrator": "swarm", "kubernetes": {}},
        "aliases": {"aliases": {"builder": "buildx"}},
        "fields of other programs": {"podman": {"a": [1, 2.5e3, None]}, "name": "x", "default": True, "Filename": 1},
        "BuildKit, as in the engine's daemon.json": {"features": {"buildkit": True}},
        "experimental, as in daemon.json": {"experimental": True},
        "an old number": {"stackOrchestrator": 1},
    }
    for name, fields in others.items():
        yield file(name, {**auths, **fields})
    yield file("plain fields", {"auths": {HOST: {"username": "ada", "password": "s3cret"}}})
    yield file("an old login", {"auths": {HOST: {**LOGIN, "email": "ada@example.org"}}})
    yield file("a Kubernetes secret", {"auths": {HOST: {"username": "ada", "password": "other", **LOGIN}}})
    yield file("an identity token", {"auths": {HOST: {"auth": encoded("<token>:"), "identitytoken": "refresh"}}})
    yield file("a registry token", {"auths": {HOST: {"registrytoken": "bearer"}}})
    yield file("both tokens", {"auths": {HOST: {**LOGIN, "identitytoken": "refresh", "registrytoken": "bearer"}}})
    yield file("a marker", {"auths": {HOST: {}}})
    yield file("an anonymous entry", {"auths": {HOST: {"auth": ""}}})
    yield file("no entry", {"auths": {HOST: None}})
    yield file("no login", {})
    yield file("no logins", {"auths": None})
    yield file("the old format, .dockercfg", {HOST: {**LOGIN, "email": ""}})


def _texts() -> Iterator[File]:
    """Texts at the edge of JSON."""
    good = json.dumps({"auths": {HOST: LOGIN}}).encode()
    start = good[:-1] + b', "unknown": '
    wholes = (b"", b" \t\r\n", b"\n", b"\f", b"\0", b"null", b"nullx", b"true", b"[]", b'"x"', b"12", b"-", b"{}", b"{")
    for text in wholes:
        yield File(f"only {text!r}", text)
    for before in (b"\xef\xbb\xbf", b" \n", b"\x0c", b"//x\n", b"\xff", b"\0"):
        yield File(f"starts with {before!r}", before + good)
    for after in (b" x", b"}", b"\n\n", b"\0\0", b"\xff", b'{"auths": {}}', good[-20:], b",", b" // a comment"):
        yield File(f"ends with {after!r}", good + after)
    for cut in (1, 5, 20, len(good) - 1):
        yield File(f"cut at {cut}", good[:cut])
    values = (
        *(b"NaN", b"Infinity", b"-Infinity", b"01", b"1.", b".5", b"+1", b"1e5", b"-0", b"1E400", b"0x1", b"tru"),
        *(
            b"'x'",
            b"x",
            b"[1,]",
            b"[,]",
            b'{"a":1,}',
            b"{a: 1}",
            b'"\\x"',
            b'"\\u12"',
            b'"\\ud800"',
            b'"a\tb"',
            b'"\x7f"',
        ),
        *(b'"\xff"', b'"\xed\xa0\x80"', b'"\\u0000"', b'"\xe2\x82"', b"\xff", b"[" * 50 + b"]" * 50, b'"', b"[}"),
    )
    for value in values:
        yield File(f"an unknown field holds {value!r}", start + value + b"}")
    for text in (b"caf\xe9", b"\xed\xa0\x80", b"\\ud800x", b"\\ud83d\\ude00", b"\xe2\x82", b"\xf0\x9f\x98\x80"):
        yield File(f"psFormat holds {text!r}", good[:-1] + b', "psFormat": "' + text + b'"}')
        login = b'{"username": "u' + text + b'", "password": "' + text + b'p"}'
        yield File(f"a login holds {text!r}", b'{"auths": {"%s": %s}}' % (HOST.encode(), login))
    yield File("UTF-16", good.decode().encode("utf-16"))


def _auths() -> Iterator[File]:
    """The field `auth`: base64 in all its forms, and what it may encode."""
    texts = (
        *(
            b"ada:",
            b":s3cret",
            b":",
            b"ada",
            b"",
            b"a:b:c",
            b"ada:\0s3cret\0\0",
            b"\0ada\0:x",
            b"a:\xff\xfe",
            b"\xff:p",
        ),
        *(b"a: p ", b" :p", b"<token>:", b"a\n:b\n", "ä:ö".encode(), b"a:" + b"x" * 5000),
    )
    forms = [(repr(text[:20]), encoded(text)) for text in texts]
    forms += [(text, text) for text in ("%", "YTpi=", "YTpi==", "YTpiY", "YTpiYw", "YTpiYw=", "YTpiYw==", "YTpiYx==")]
    forms += [(text, text) for text in ("====", "=YTpi", "YT=pi", "YTpi YTpi", " YTpi", "YTpi ", "YTpi\t", "\n", " ")]
    forms += [(text, text) for text in ("YT\npi", "YTpi\r\n", "Y\nTpiYw=\n=\n", "YTpiYw==YTpi", "YTp_", "YTp-", "YTp/")]
    forms += [(text, text) for text in ("ada:s3cret", "YTpi\0", "YTpi\u00e4", "YTpi\ud800", "YTpi\n\n\n\n")]
    for name, form in forms:
        yield file(f"auth: {name}", {"auths": {HOST: {"auth": form}}})
        yield file(f"the auth of another entry: {name}", {"auths": {HOST: LOGIN, "other.example": {"auth": form}}})


def _keys() -> Iterator[File]:
    """The keys under which a login may be found."""
    keys = (
        *(f"https://{HOST}", f"https://{HOST}/", f"https://{HOST}/v1/", f"https://{HOST}/v2/", f"http://{HOST}/v1/"),
        *(f"{HOST}/", f"{HOST}/v2/", f"{HOST}/team/app", f"//{HOST}", f"https:/{HOST}", f"{HOST}?x", f"{HOST}#x"),
        *(
            HOST.upper(),
            f"https://{HOST.upper()}/",
            f" {HOST}",
            f"{HOST} ",
            "registry.example",
            "https://registry.example/",
        ),
        *(f"https:///{HOST}", f"://{HOST}", f"https://{HOST}\t", f"{HOST}:5000", f"\u200b{HOST}"),
    )
    for key in keys:
        yield file(f"the key {key!r}", {"auths": {key: LOGIN}})
    for key in (
        f"https://{HOST}:/",
        f"https://ada@{HOST}/",
        f"https://{HOST}?x",
        f"https://{HOST}#x",
        f"ftp://{HOST}/",
    ):
        yield replace(file(f"the key {key!r}", {"auths": {key: LOGIN}}), since=(27,))
    for key in keys[:4]:
        yield file(f"the key {key!r} next to a marker", {"auths": {key: LOGIN, HOST: {}}})
        yield file(f"the key {key!r} next to the right one", {"auths": {key: {"auth": "YTpi"}, HOST: LOGIN}})
        yield file(f"a helper for the key {key!r}", {"auths": {HOST: LOGIN}, "credHelpers": {key: HELPER}})


def _duplicates() -> Iterator[File]:
    """Keys that are there twice, in the same or in another spelling."""
    host = json.dumps(HOST)
    first, second = '{"auth": "YTpi"}', '{"auth": "YzpkZQ=="}'
    for one, other in (
        ("auths", "auths"),
        ("Auths", "auths"),
        ("auths", "AUTHS"),
        ("AUTHS", "Auths"),
        ("auth\u017f", "auths"),
    ):
        for value in (f"{{{host}: {second}}}", '{"other": {}}', "{}", "null", f"{{{host}: null}}", f"{{{host}: {{}}}}"):
            yield File(
                f"{one}, then {other}: {value}", f'{{"{one}": {{{host}: {first}}}, "{other}": {value}}}'.encode()
            )
    for members in (
        *('"auth": "YTpi", "auth": null', '"auth": "YTpi", "AUTH": "YzpkZQ=="', '"Auth": "YTpi", "auth": ""'),
        *('"auth": null, "auth": "YTpi"', '"auth": "YTpi", "identitytoken": "x", "IdentityToken": null'),
        *('"auth": "%", "auth": "YTpi"', '"auth": "YTpi", "auth": 1', '"username": "a", "Username": "b"'),
        *('"PASSWORD": "p", "u\u017fername": "a"', '"identityto\u212aen": "x"', '"pa\u00dfword": "p"'),
    ):
        yield File(f"an entry of {members}", f'{{"auths": {{{host}: {{{members}}}}}}}'.encode())
        yield File(f"the last of {members}", f'{{"auths": {{{host}: {first}, {host}: {{{members}}}}}}}'.encode())
    for members in (
        *('"credsStore": "stub", "credsstore": null', '"credsStore": "stub", "credsStore": ""', '"CREDSSTORE": "stub"'),
        *('"cred\u017fStore": "stub"', '"creds\u00dftore": "stub"', '"credsStore": null, "CredsStore": "stub"'),
        *(
            f'"credHelpers": {{{host}: "stub"}}, "credHelpers": {{}}',
            f'"credHelpers": {{{host}: "stub"}}, "credHelpers": null',
        ),
        *(
            f'"credhelpers": {{{host}: "stub", {host}: null}}',
            f'"credHelpers": {{}}, "CREDHELPERS": {{{host}: "stub"}}',
        ),
        *('"psFormat": 1, "psFormat": "x"', '"psFormat": "x", "PSFORMAT": []', '"-": 1, "": 2'),
    ):
        yield File(members, f'{{"auths": {{{host}: {first}}}, {members}}}'.encode())


_NAMES: Final = (
    "auths",
    "auths",
    "Auths",
    "credsStore",
    "CREDSSTORE",
    "credHelpers",
    "psFormat",
    "features",
    "x",
    "plugins",
)
_ENTRY_NAMES: Final = ("auth", "auth", "Auth", "username", "password", "identitytoken", "RegistryToken", "email", "x")


def _generated() -> Iterator[File]:
    """Random objects of known names, each with a value of its type, or sometimes of another one."""
    random = Random(_SEED)  # noqa: S311 - no secret
    for number in range(60):
        members = ", ".join(_member(random) for _ in range(random.randint(1, 5)))
        yield File(f"generated, number {number}", f"{{{members}}}".encode())


def _member(random: Random) -> str:
    name = random.choice(_NAMES)
    if random.random() < 0.1:
        value = random.choice(("null", "1", "true", "[]", "{}", '""'))
    elif name.lower() == "auths":
        value = _object(random, (HOST, HOST, "other.example"), lambda: _entry(random))
    elif name == "credHelpers":
        value = _object(random, (HOST, "other.example"), lambda: random.choice(('""', '"stub"', "null")))
    elif name in ("features", "plugins"):
        value = "{}"
    else:
        value = random.choice(('""', '"stub"', "null")) if name.lower() == "credsstore" else '"x"'
    return f'"{name}": {value}'


def _entry(random: Random) -> str:
    values = ('"YTpi"', '"YzpkZQ=="', '""', "null", f'"{AUTH}"')
    return _object(random, _ENTRY_NAMES, lambda: random.choice(values))


def _object(random: Random, names: tuple[str, ...], value: Any) -> str:
    return "{" + ", ".join(f'"{random.choice(names)}": {value()}' for _ in range(random.randint(0, 3))) + "}"
