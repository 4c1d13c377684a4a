"""Turns secrets into a plan: which secret serves a registry, how the agent gets its password, what is skipped."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from agent.model.credential import AwsIdentity, Credential, TokenSource
from agent.model.login_source import AwsDefaults, kind_of, source_of
from agent.model.problem import Problem, ProblemError
from agent.model.problems.environment import (
    NativeUnsupported,
    SecretHostname,
    SecretShadowed,
    TokenNotRenewable,
)
from agent.model.registry import Registry, registry_named
from agent.model.secret import Kind, RegistrySecret, Scope, check_trust

_RANK: Final = {scope: rank for rank, scope in enumerate(Scope)}


@dataclass(frozen=True, slots=True)
class SecretSet:
    """The secrets of all sources.

    `complete`: every source was read at least once. `all_sources_ok`: no source reported a fault.
    """

    secrets: tuple[RegistrySecret, ...] = ()
    complete: bool = True
    all_sources_ok: bool = True


@dataclass(frozen=True, slots=True)
class Login:
    """One registry to log in to. `source` is the credential itself, or what gives a token."""

    registry: Registry
    secret: RegistrySecret
    kind: Kind
    source: Credential | TokenSource
    namesake: bool = False
    """Whether another secret of the same name serves the registry too. Then they differ only in their file."""

    @property
    def secret_label(self) -> str:
        """What messages call the secret."""
        return f"{self.secret.name} of {self.secret.origin}" if self.namesake else self.secret.name

    @property
    def asks_aws(self) -> bool:
        return isinstance(self.source, AwsIdentity)

    @property
    def issuer(self) -> str:
        """The cloud that issues the password, such as AWS. Empty if no cloud does."""
        return self.source.issuer if isinstance(self.source, TokenSource) else ""

    @property
    def password_may_change(self) -> bool:
        """Whether only the source knows the password, and can give another one at any time."""
        return self.source.fingerprint is None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A registry that the agent knows but does not log in to, and the reason."""

    registry: Registry
    secret: RegistrySecret
    kind: Kind
    reason: str
    wanted: bool
    """False if a person chose this (disabled, excluded). Then nothing is missing."""

    @property
    def subjects(self) -> tuple[str, str]:
        """What the problem that is the reason can be about."""
        return self.registry.hostname, self.secret.subject


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do. `complete` and `all_sources_ok` are those of the `SecretSet` that the plan was made from."""

    logins: tuple[Login, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    problems: tuple[Problem, ...] = ()
    complete: bool = True
    all_sources_ok: bool = True

    @property
    def token_sources(self) -> frozenset[TokenSource]:
        return frozenset(login.source for login in self.logins if isinstance(login.source, TokenSource))


def excluded_hosts(exclude: Iterable[str]) -> frozenset[str]:
    return frozenset(str(registry_named(name) or name) for name in exclude)


def make_plan(
    secrets: Sequence[RegistrySecret], exclude: Collection[str], defaults: AwsDefaults, *, allow_commands: bool = False
) -> Plan:
    """Choose at most one login per registry, by scope and then by name.

    A disabled secret appears in the plan only if no enabled secret serves its registry. If a secret cannot be used, the
    next one is tried. `exclude` holds host names as people type them. `allow_commands` is the setting.
    """
    excluded = excluded_hosts(exclude)
    twice = _under_other_names(secrets, excluded)
    again = [replace(secret, registry=other) for secret, other in twice]
    by_registry: dict[Registry, list[RegistrySecret]] = {}
    # Enabled secrets come first, then scope and name decide. The origin makes the order the same in every run.
    for secret in sorted((*secrets, *again), key=lambda s: (not s.enabled, _RANK[s.scope], s.name, s.origin)):
        by_registry.setdefault(secret.registry, []).append(secret)
    logins: list[Login] = []
    skipped: list[Skipped] = []
    problems: list[Problem] = []
    for registry, candidates in by_registry.items():
        if registry.hostname in excluded:
            skipped.append(_skip(candidates[0], "listed in secrets.exclude", wanted=False))
            continue
        chosen = _first_usable(candidates, defaults, problems, allow_commands=allow_commands)
        if isinstance(chosen, Skipped):
            skipped.append(chosen)
            continue
        unused = _unused(chosen.secret, candidates)
        chosen = replace(chosen, namesake=any(other.name == chosen.secret.name for other in unused))
        logins.append(chosen)
        problems += [_shadowed(other, chosen) for other in unused]
    used = {login.secret for login in logins}
    problems += [_logged_in_twice(secret, other) for secret, other in twice if secret in used]
    # A secret for two names of its registry has the same fault for both.
    return Plan(tuple(logins), tuple(skipped), tuple(dict.fromkeys(problems)))


def _under_other_names(
    secrets: Sequence[RegistrySecret], excluded: frozenset[str]
) -> list[tuple[RegistrySecret, Registry]]:
    """Return each secret whose registry needs a login under another name too, with that name.

    Docker compares names: images of `ghcr.io` do not use the login of `ghcr.io:443`, and no image uses the one of
    `harbor`. Both names occur in practice, so the agent logs in to both, unless another secret serves the other one.
    """
    served = {secret.registry for secret in secrets}
    names = [(secret, secret.registry.other_name) for secret in secrets if secret.enabled]
    return [
        (secret, other)
        for secret, other in names
        if other is not None and other not in served and not excluded & {other.hostname, secret.registry.hostname}
    ]


def _logged_in_twice(secret: RegistrySecret, other: Registry) -> SecretHostname:
    name, hint = secret.registry, None
    fault = "docker uses that login only for images with the port in their name"
    if not name.in_images:
        fault = f"docker takes images that begin with {name}/ for images of Docker Hub"
        hint = f"no action needed for images that begin with {other}/; for Docker Hub, set the hostname to docker.io"
    message = f"secret {secret.name} of {secret.origin} names {name}, but {fault}; the agent also logs in to {other}"
    return SecretHostname(secret.subject, message, hint=hint)


def _first_usable(
    candidates: Sequence[RegistrySecret], defaults: AwsDefaults, problems: list[Problem], *, allow_commands: bool
) -> Login | Skipped:
    """Return the first login that can be tried, else why the best secret cannot be used. Collects the problems."""
    failures: list[Skipped] = []
    for secret in candidates:
        if not secret.enabled:
            break  # disabled secrets sort last
        try:
            check_trust(secret, allow_commands=allow_commands)
            login = _login(secret, defaults)
        except ProblemError as error:
            problems.append(error.problem)
            failures.append(_skip(secret, error.problem.message, wanted=True))
            continue
        if login.kind is not Kind.BASIC and isinstance(login.source, Credential):
            ready = f"secret {secret.name} contains a ready ECR token"
            message = f"{ready}, which works until it expires and cannot be renewed"
            problems.append(TokenNotRenewable(secret.registry.hostname, message))
        return login
    return failures[0] if failures else _skip(candidates[0], "disabled in the secret", wanted=False)


def _login(secret: RegistrySecret, defaults: AwsDefaults) -> Login:
    kind, registry = kind_of(secret), secret.registry
    if secret.native and kind is Kind.BASIC:
        message = (
            f"secret {secret.name} is runner-native (this environment's own identity), but {registry} is not a "
            "registry of AWS, Google or Azure"
        )
        raise ProblemError(NativeUnsupported(registry.hostname, message))
    return Login(registry, secret, kind, source_of(secret, kind, defaults))


def _unused(chosen: RegistrySecret, candidates: Sequence[RegistrySecret]) -> list[RegistrySecret]:
    """Return each enabled secret after the chosen one. Those before it have a problem already."""
    return [other for other in candidates[candidates.index(chosen) + 1 :] if other.enabled]


def _shadowed(other: RegistrySecret, login: Login) -> SecretShadowed:
    # A Docker file can have several keys for one registry. Their secrets have one name.
    same = other.subject == login.secret.subject
    used = f"another entry of {other.origin}" if same else f"{login.secret_label} ({login.secret.scope})"
    return SecretShadowed(
        other.subject,
        f"secret {other.name} ({other.scope}) is not used: {used} also serves {other.registry} and takes precedence",
    )


def _skip(secret: RegistrySecret, reason: str, *, wanted: bool) -> Skipped:
    try:
        kind = kind_of(secret)
    except ProblemError:
        kind = Kind.BASIC
    return Skipped(secret.registry, secret, kind, reason, wanted)
