"""Known secrets are never shown, in any encoding."""

import base64
import html
import json
import re
import shlex
import textwrap
import threading
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.text import printable
from agent.observe.redaction import MASK, Scrubber, secrets_of_environment, secrets_of_settings
from agent.settings import ReportSettings, Settings
from tests.hunt.canary import SPECIAL, Canary, Hunt, nasty_texts
from tests.rig.growth import assert_linear, cpu_time

SECRET = 'p/w+ "ü&ß\\ =?'


@pytest.fixture
def scrubber() -> Scrubber:
    scrubber = Scrubber()
    scrubber.protect([SECRET])
    return scrubber


def forms(secret: str) -> dict[str, str]:
    """Return the forms in which programs and servers repeat a secret. Go's are those of url.go and strconv."""
    raw = secret.encode()
    half = len(secret) // 2
    found = {
        "as it is": secret,
        "stripped": secret.strip(),
        "JSON": json.dumps(secret)[1:-1],
        "JSON in Unicode": json.dumps(secret, ensure_ascii=False)[1:-1],
        "JSON of Go": json.dumps(secret)[1:-1].replace("&", "\\u0026").replace("<", "\\u003c"),
        "JSON with escaped slashes": json.dumps(secret)[1:-1].replace("/", "\\/"),
        "JSON in JSON": json.dumps(json.dumps(secret))[3:-3],
        "all characters as JSON escapes": "".join(
            f"\\u{unit}" for unit in re.findall("....", secret.encode("utf-16-be").hex())
        ),
        "Go %q": json.dumps(secret, ensure_ascii=False)[1:-1],
        "Go %+q of bytes": "".join(f"\\x{byte:02x}" if byte > 126 else chr(byte) for byte in raw).replace('"', '\\"'),
        "octal": "".join(f"\\{byte:03o}" for byte in raw),
        "URL": quote(secret, safe=""),
        "URL in lower case": re.sub("%..", lambda match: match[0].lower(), quote(secret, safe="")),
        "path of a URL": quote(secret),
        "query of a URL": quote_plus(secret),
        "encodeURIComponent": quote(secret, safe="!'()*"),
        "Go user info": quote(secret, safe="$&+,;="),
        "Go path": quote(secret, safe="$&+,/:;=@"),
        "URL in a URL": quote(quote(secret, safe=""), safe=""),
        "all characters percent-encoded": "".join(f"%{byte:02X}" for byte in raw),
        "HTML": html.escape(secret),
        "HTML of Go": html.escape(secret).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
        "all characters as HTML": "".join(f"&#x{ord(each):x};" for each in secret),
        "shell": shlex.quote(secret),
        "backslashes before punctuation": re.sub(r"(\W)", r"\\\1", secret),
        "backslashes doubled": secret.replace("\\", "\\\\"),
        "hexadecimal": secret.strip().encode().hex(),
        "hexadecimal in upper case": secret.strip().encode().hex().upper(),
        "hexadecimal with colons": raw.hex(":"),
        "NFC": unicodedata.normalize("NFC", secret),
        "NFD": unicodedata.normalize("NFD", secret),
        "NFD in a URL": quote(unicodedata.normalize("NFD", secret), safe=""),
        "wrapped": f"{secret[:half]}\n{secret[half:]}",
        "wrapped and indented": f"{secret[:half]}\r\n    {secret[half:]}",
        "wrapped by a shell": f"{secret[:half]}\\\n{secret[half:]}",
        "without line breaks": " ".join(secret.split("\n")),
        "lower case": secret.lower(),
        "UTF-8 read as Latin-1": raw.decode("latin-1"),
        "UTF-8 read as Windows-1252": raw.decode("cp1252", "replace"),
    }
    if secret.upper().lower() == secret.lower():
        found["upper case"] = secret.upper()
    with suppress(UnicodeEncodeError):
        latin = secret.encode("latin-1")
        found |= {"Latin-1 read as UTF-8": latin.decode(errors="replace"), "Latin-1 in base64": _base64(latin)}
    for name in ("JSON", "JSON in Unicode", "JSON of Go"):
        encoded = _base64(f'{{"username":"bob","password":"{found[name]}"}}'.encode())
        found |= {f"base64 of {name}": encoded, f"base64 of base64 of {name}": _base64(encoded.encode())}
    for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
        encoded = encode(raw).decode()
        found |= {name: encoded, f"{name} without padding": encoded.rstrip("="), f"{name} in a URL": quote(encoded)}
        found[f"{name} wrapped"] = "\n".join(textwrap.wrap(encoded, 8))
    return found


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


_ESCAPED_BLANK: Final = re.compile(
    r"%(?:25)?(?:20|09)|\\+(?:t|x20|x09|u0020|u0009|040|011)|&#x(?:20|9);|\b(?:20|09)\b|[\W_]"
)
"""The blanks around a password are not secret."""
SECRETS: Final = [
    SECRET,
    " begins-with-a-blank",
    "ends-with-a-blank\t",
    "correct-horse-battery",
    "hunter2",
    "it's 'quoted' 1",
    "!!abcd1234efgh??",
    "50%25off&amp;more",
    "C:\\new\\table",
    "пароль-секрет",
    "Ångström-é-9",
    "密码是这个好吗",
    "\U0001f511-key-\U0001f511",
    "a line of it\nanother line of it",
    '<&>"quoted&words"</a>',
    "$HOME/`id`/{x}*",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_every_form_is_masked(secret: str) -> None:
    """Raw, escaped, encoded or wrapped. At most one base64 digit is left, shared with the next character."""
    scrubber = Scrubber()
    scrubber.protect([secret])
    shown = {}
    for name, form in forms(secret).items():
        left = scrubber.scrub(f"before [{form}] after").removeprefix("before [").removesuffix("] after")
        rest = _ESCAPED_BLANK.sub("", left.replace(MASK, ""))
        if MASK not in left or len(rest) > (1 if "base64" in name else 0):
            shown[name] = left
    assert shown == {}


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("user", ["", "a", "ab", "abc"])
def test_the_base64_of_user_and_password_is_masked_at_every_alignment(secret: str, user: str) -> None:
    """Only the digits of the user name stay, and those that it shares with the password."""
    scrubber = Scrubber()
    scrubber.protect([secret])
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        left = scrubber.scrub(encode(f"{user}:{secret}".encode()).decode())
        assert MASK in left
        assert len(left.replace(MASK, "").rstrip("=")) <= -(-(len(user) + 1) * 8 // 6) + 1


@pytest.mark.parametrize("before", ["", "v2/", "auth=", "/a/directory/", "it is "])
@pytest.mark.parametrize("after", ["", "/", "/tail", " and more", "…"])
def test_base64_that_holds_an_escaped_secret_is_masked_wherever_it_stands(before: str, after: str) -> None:
    """Docker sends a login as base64 of JSON, and Go escapes `&` there. No character of the secret can be read."""
    scrubber = Scrubber()
    scrubber.protect(["Tr0ub4dor&3xyzQab"])
    encoded = base64.urlsafe_b64encode(rb'{"username":"bob","password":"Tr0ub4dor\u00263xyzQab"}').decode()
    left = scrubber.scrub(f"{before}{encoded}{after}")
    assert MASK in left
    assert left.replace(MASK, "") in f"{before}{after}"


def test_a_word_of_the_agent_next_to_an_umlaut_stays_readable() -> None:
    """The secret may lose its umlaut on the way. A word such as `password` that is left is not masked."""
    scrubber = Scrubber()
    scrubber.protect(["ü-password"])
    assert scrubber.scrub_own("it has no password") == "it has no password"


@given(st.text(st.sampled_from("abcXYZ019 \"'\\/%&<>+-_=?é密\n"), min_size=12, max_size=40))
def test_a_secret_of_any_characters_is_masked_in_every_form(secret: str) -> None:
    """None of its words of five characters stays."""
    scrubber = Scrubber()
    scrubber.protect([secret])
    words = re.findall(r"[a-zA-Z0-9]{5,}", secret)
    for form in (secret, json.dumps(secret), quote(secret, safe=""), html.escape(secret), shlex.quote(secret)):
        shown = scrubber.scrub(f"it said {form} and more")
        assert not [word for word in words if word in shown]


@pytest.mark.parametrize("special", [SPECIAL, "\u2028a\u200b\x85", "+/"])
def test_no_cut_shows_a_piece_of_a_secret(special: str) -> None:
    """Whether a text is cut before or after it is redacted, and wherever it is cut."""
    canary = Canary.make("secret", special)
    scrubber, hunt = Scrubber(), Hunt([canary])
    scrubber.protect([canary.value])
    for label, text in nasty_texts(canary, "somebody").items():
        for limit in (160, 200, 300, 600):
            cut, redacted = printable(text, limit), printable(scrubber.scrub(text), limit)
            shown = {"both": scrubber.scrub(cut), "own": scrubber.scrub_own(cut), "before": redacted}
            assert hunt.found({name: each.encode() for name, each in shown.items()}) == [], label


def test_overlapping_secrets_are_masked_as_one() -> None:
    """The rest of the shorter one, or of the one that begins later, does not stay."""
    scrubber = Scrubber()
    scrubber.protect(["first-half-1234", "1234-second-half", "half"])
    assert scrubber.scrub("it said first-half-1234-second-half!") == f"it said {MASK}!"


def test_the_lines_of_a_key_are_masked_one_by_one() -> None:
    """A server may repeat one line of a key, also if the key is written on one line, as in a Google JSON file."""
    lines = [base64.b64encode(bytes(range(start, start + 24))).decode() for start in range(0, 96, 24)]
    pem = "\n".join(["-----BEGIN PRIVATE KEY-----", *lines, "-----END PRIVATE KEY-----", ""])
    for key in (pem, json.dumps({"type": "service_account", "private_key": pem})):
        scrubber = Scrubber()
        scrubber.protect([key])
        for line in lines:
            assert scrubber.scrub(f"bad line: {line}") == f"bad line: {MASK}"


@given(st.text(st.characters(codec="utf-8", exclude_characters=":"), max_size=20))
def test_a_password_inside_a_basic_header_is_masked(username: str) -> None:
    """In base64 of user:password, only the digits of the user name stay, and at most one shared digit at each end."""
    scrubber = Scrubber()
    scrubber.protect(["correct-horse-battery"])
    header = base64.b64encode(f"{username}:correct-horse-battery".encode()).decode()
    left = scrubber.scrub(header)
    assert MASK in left
    digits_before = -(-(len(username.encode()) + 1) * 8 // 6)
    assert len(left.replace(MASK, "").rstrip("=")) <= digits_before + 1


def test_a_secret_cut_off_is_masked_too(scrubber: Scrubber) -> None:
    """A message that was cut off does not show the first half of a secret."""
    assert SECRET[:6] not in scrubber.scrub(f"it said {SECRET[:6]}…")


def test_short_secrets_are_masked_only_as_separate_words() -> None:
    """A password of three letters does not mask parts of other words."""
    scrubber = Scrubber()
    scrubber.protect(["abc"])
    assert scrubber.scrub("password abc, alphabcdef") == f"password {MASK}, alphabcdef"


def test_each_owner_replaces_only_its_own_secrets() -> None:
    """New secrets of one owner do not reveal those of another."""
    scrubber = Scrubber()
    scrubber.protect(["first-secret"], owner="a")
    scrubber.protect(["second-secret"], owner="b")
    scrubber.protect(["third-secret"], owner="a")
    assert scrubber.scrub("first-secret second-secret third-secret") == f"first-secret {MASK} {MASK}"


def test_runner_native_is_not_secret() -> None:
    """This word of the interface stays readable, even if it is used as a password."""
    scrubber = Scrubber()
    scrubber.protect(["runner-native"])
    assert scrubber.scrub("runner-native") == "runner-native"


def test_the_environments_own_secrets_are_known() -> None:
    """AWS keys, Azure's header, and the password in the URL of a proxy."""
    proxy = {"https_proxy": "http://me:pr%20xy@proxy:3128", "HOME": "/x"}
    environ = {"AWS_SECRET_ACCESS_KEY": "aws-key", "IDENTITY_HEADER": "azure-header", **proxy}
    assert {"aws-key", "azure-header", "pr xy"} <= set(secrets_of_environment(environ))


@pytest.mark.parametrize("password", ["p@ss/word#1?x", "a:b@c@d1234", "100%/secret@", "/starts@with", "p%40ss%2Fword"])
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "FTP_PROXY"])
@pytest.mark.parametrize("scheme", ["http://", "socks5h://", ""])
def test_a_proxys_password_is_known_although_it_is_not_percent_encoded(
    password: str, variable: str, scheme: str
) -> None:
    """A program that splits the URL at another place shows a part of the password as the host. No part stays."""
    scrubber = Scrubber()
    scrubber.protect(secrets_of_environment({variable: f"{scheme}user:{password}@proxy.example:3128"}))
    for shown in (password, unquote(password), *(part for part in re.split("[@:/?#]", password) if len(part) > 2)):
        assert scrubber.scrub(f"lookup {shown} failed") == f"lookup {MASK} failed"
    assert scrubber.scrub("proxy.example:3128") == "proxy.example:3128"


def test_a_proxy_variable_without_a_password_adds_no_secret() -> None:
    """Neither do the hosts of NO_PROXY."""
    environ = {"HTTP_PROXY": "http://proxy:3128", "HTTPS_PROXY": "http://user@proxy", "NO_PROXY": "localhost,.example"}
    assert set(secrets_of_environment(environ)) <= {""}


@pytest.mark.parametrize(
    "variable", ["AWS_SHARED_CREDENTIALS_FILE", "GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG"]
)
@pytest.mark.parametrize(
    "content",
    [
        "[default]\naws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        '{"type": "authorized_user", "refresh_token": "1//0gLong-Refresh/Token-Of-Google"}',
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl",
        "ghp_aTokenOfGitHub/0123456789abcdefghij",
    ],
)
def test_a_credential_is_masked_where_the_path_of_its_file_belongs(variable: str, content: str) -> None:
    """A message names the file that does not exist. Some show only its last part."""
    scrubber = Scrubber()
    scrubber.protect(secrets_of_environment({variable: content}))
    message = printable(f"{variable} names {Path(content)}, which does not exist")
    assert scrubber.scrub_own(message) == f"{variable} names {MASK}, which does not exist"
    assert Path(content).name.strip() not in scrubber.scrub(f"no {Path(content).name.strip()} here")
    assert scrubber.scrub("the default type is default") == "the default type is default"


@pytest.mark.parametrize(
    "path", ["/etc/aws/credentials-of-this-machine", "~/.aws/credentials", "$HOME/aws", "./a", "x.json"]
)
def test_the_path_of_a_credential_file_stays_readable(path: str) -> None:
    """Its name helps to find what is wrong."""
    scrubber = Scrubber()
    scrubber.protect(secrets_of_environment({"AWS_SHARED_CREDENTIALS_FILE": path, "DOCKER_CONFIG": path}))
    assert scrubber.scrub(f"{path} is missing") == f"{path} is missing"


@pytest.mark.parametrize("password", ["2026/Ss9Tail", "/Ss9Tail", "a?b#Ss9Tail", "plain-Ss9Tail"])
def test_passwords_in_urls_of_settings_and_variables_are_known(password: str) -> None:
    """A library may show a part of the URL as its host, its port or its path."""
    url = f"https://carl:{password}@host.invalid/v1"
    settings = replace(Settings(), report=ReportSettings(url=url))
    for known in (secrets_of_settings(settings), secrets_of_environment({"IDENTITY_ENDPOINT": url})):
        scrubber = Scrubber()
        scrubber.protect(known)
        for part in (password, *(part for part in re.split("[/?#]", password) if len(part) > 2)):
            assert scrubber.scrub(f"bad port: {part}") == f"bad port: {MASK}"


def test_a_text_is_scrubbed_while_another_thread_adds_secrets() -> None:
    """The secrets that are already known are masked at any time."""
    scrubber = Scrubber()
    scrubber.protect(["the-first-secret"])
    values = ["the-first-secret", *(f"{number}-{'x' * 400}" for number in range(1000))]
    adding = threading.Thread(target=scrubber.protect, args=(values,))
    adding.start()
    while True:
        ended = not adding.is_alive()
        assert scrubber.scrub("it is the-first-secret") == f"it is {MASK}"
        if ended:
            break
    assert scrubber.scrub(values[-1]) == MASK


def test_a_long_text_is_scrubbed_too() -> None:
    """The secret is at its end."""
    scrubber = Scrubber()
    scrubber.protect(["the-first-secret"])
    assert scrubber.scrub("x" * 100_000 + "the-first-secret") == "x" * 100_000 + "[redacted]"


@pytest.mark.parametrize(
    "password", ["login", "2026", "password", "docker", "no", "registry", "docker-login", ": ", "5000"]
)
def test_a_password_that_is_a_word_of_the_agent_is_masked_only_in_texts_from_outside(password: str) -> None:
    """In the agent's own messages, masking it would hide what people need, and show what the password is."""
    scrubber = Scrubber()
    scrubber.protect([password])
    own = "docker login to the registry: no password since 2026-01-01"
    assert scrubber.scrub_own(own) == own
    if len(password.strip()) > 1:
        assert scrubber.scrub(f"it said {password} to me") == f"it said {MASK} to me"


@pytest.mark.parametrize(
    "password",
    [
        *("hunter2", "sesame-street", "zyxw", "login-4711-xyz", "correct horse"),
        *("!@#$%^&*()_+", "$%^&*!@#", "8734652198", "415-555-0199", "docker-8734652198"),
    ],
)
def test_any_other_password_is_masked_in_the_agents_own_messages_too(password: str) -> None:
    """They may quote text from outside."""
    scrubber = Scrubber()
    scrubber.protect([password])
    assert scrubber.scrub_own(f"it said {password} to me") == f"it said {MASK} to me"


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "%25",
        "\\",
        "&amp;",
        "…",
        "...",
        "the-first-secret",
        "the-fi",
        "\\u0061",
        " ",
        "é",
        "\u0301\u0323",
        "dXNlcjpuYW1l",
    ],
)
def test_the_time_grows_with_the_text_and_not_faster(piece: str) -> None:
    """Whatever a text consists of."""
    scrubber = Scrubber()
    scrubber.protect(["the-first-secret", "a" * 500, "-", "p/w+"])
    assert_linear(lambda size: scrubber.scrub(piece * (size // len(piece))))


def test_the_time_of_a_search_does_not_grow_with_the_number_of_secrets() -> None:
    """A thousand secrets cost little more than ten, even if all begin in the same way."""
    text = "github_pat_11A and more words " * 300

    def search(secrets: int) -> Callable[[], object]:
        scrubber = Scrubber()
        scrubber.protect(f"github_pat_11A{number:05}{'x' * 60}" for number in range(secrets))
        return lambda: scrubber.scrub(text)

    few, many = (min(cpu_time(work) for _ in range(3)) for work in (search(10), search(1000)))
    assert many < 10 * few


def test_the_time_to_learn_secrets_grows_with_their_length_and_not_faster() -> None:
    """Also if they consist of punctuation, line breaks or escapes."""
    for piece in ("aB3", "\n", "+/", "%25", "\\n", "line of text\n", "\u0301\u0323", "é", "éabcdef"):
        # It cuts a longer secret.
        assert_linear(lambda size, piece=piece: Scrubber().protect([piece * (size // len(piece))]), factor=16)  # type: ignore[misc]
