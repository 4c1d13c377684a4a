"""The lines in Docker's `credHelpers` that make Docker ask the agent for a login."""

from agent.model.docker_config import Document, Entry, Ownership, find, helpers_by_key, remove, store_of, with_field
from agent.model.helper_names import OWN_HELPER
from agent.model.registry import DOCKER_HUB, Registry


def keys_of(registry: Registry) -> tuple[str, ...]:
    """Return the keys by which programs ask for a registry's login, Docker's own first.

    Docker asks for Docker Hub by its URL, podman and skopeo by its name.
    """
    return (registry.docker_key, DOCKER_HUB) if registry.hostname == DOCKER_HUB else (registry.docker_key,)


def is_served(document: Document, registry: Registry) -> bool:
    """Whether Docker asks the agent for this registry's login."""
    return bool(helpers_by_key(document).get(registry.docker_key) == OWN_HELPER)


def has_any_line(document: Document, registry: Registry) -> bool:
    """Whether it is chosen for this very registry where Docker finds its login."""
    return registry.docker_key in helpers_by_key(document)


def has_other_line(document: Document, registry: Registry) -> bool:
    """Whether a person has chosen another helper, or the file, for this very registry."""
    return bool(helpers_by_key(document).get(registry.docker_key, OWN_HELPER) != OWN_HELPER)


def with_lines(document: Document, registry: Registry, is_ours: Ownership) -> Document:
    """Return the document with the registry's lines, and without the login that the agent has stored in the file.

    Returns the same document if nothing changes, or if a person's line is there, or a person's login that Docker uses.
    Docker ignores the file if it gets its logins from a helper. A person's login under podman's own key keeps only
    podman from asking the agent.
    """
    key, helpers, login = registry.docker_key, helpers_by_key(document), find(document, registry.docker_key)
    persons_login = login is not None and not is_ours(*login)
    if has_other_line(document, registry) or (persons_login and store_of(document, key) is None):
        return document
    # Docker would ignore it now, and it would stay on disk.
    if login is not None and not persons_login:
        document = remove(document, key, is_ours)
    persons = {name for name, login in podmans_logins(document, registry).items() if not is_ours(*login)}
    missing = {name: OWN_HELPER for name in keys_of(registry) if name not in helpers and name not in persons}
    return with_field(document, "credHelpers", {**helpers, **missing}) if missing else document


def podmans_logins(document: Document, registry: Registry) -> dict[str, tuple[str, Entry]]:
    """Return the logins in the file that podman uses and docker does not: by the key that podman asks for.

    Each is the key under which it is stored, and the login. Podman uses none of them if there is a line for its key.
    """
    found = {name: find(document, name) for name in keys_of(registry)[1:] if name not in helpers_by_key(document)}
    return {name: login for name, login in found.items() if login is not None}


def without_lines(document: Document, registry: Registry) -> Document:
    """Return the document without the registry's lines, or the same document if there are none."""
    return _without(document, frozenset(keys_of(registry)))


def without_lines_except(document: Document, kept: frozenset[str]) -> Document:
    """Return the document without all lines of the agent, except those for the keys in `kept`."""
    return _without(document, helpers_by_key(document).keys() - kept)


def _without(document: Document, keys: frozenset[str] | set[str]) -> Document:
    helpers = helpers_by_key(document)
    remaining = {key: name for key, name in helpers.items() if name != OWN_HELPER or key not in keys}
    return with_field(document, "credHelpers", remaining) if len(remaining) < len(helpers) else document
