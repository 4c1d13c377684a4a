"""Decides whether the login that Docker holds is the agent's own, also where the agent's state cannot be read."""

from collections.abc import Mapping
from typing import Final

from agent.doctor.agent_status import AgentStatus
from agent.doctor.context import Context
from agent.model import google_errors
from agent.model.credential import AwsIdentity, AzureIdentity, Credential, GoogleIdentity, TokenSource
from agent.model.docker_config import Entry
from agent.model.encoded_login import AZURE_USER, ECR_USER
from agent.model.helper_names import OWN_HELPER
from agent.model.password_source import PasswordSource
from agent.model.plan import Login

_USERS: Final[Mapping[type[TokenSource], str]] = {
    AwsIdentity: ECR_USER,
    GoogleIdentity: google_errors.USER,
    AzureIdentity: AZURE_USER,
}


def is_ours(found: Entry, login: Login, helper: str | None, context: Context, status: AgentStatus | None) -> bool:
    """Whether the agent wrote this entry: by the hashes of what it wrote, or because it is the secret's own login.

    What comes from its own `helper` is always the agent's.

    The hashes are missing if the agent has no state directory, or never ran here. The running agent then knows, and
    without one, the user name has to do.
    """
    registry, source = login.registry, login.source
    if helper == OWN_HELPER or context.hashes.known(registry, found):
        return True
    if isinstance(source, Credential) and entry_of(source).same_login(found):
        return True
    if context.hashes.own(registry) is not None:
        return False
    if status is not None and status.user == context.user and status.stores_login(registry.hostname):
        return True
    return found.identity_token or found.username == _user_name(source, found)


def _user_name(source: Credential | TokenSource, found: Entry) -> str | None:
    """The user name of a token. A source that gives the user name too can give any, so that of `found` is possible."""
    if isinstance(source, PasswordSource):
        return source.username or found.username
    return None if isinstance(source, Credential) else _USERS.get(type(source))


def entry_of(credential: Credential) -> Entry:
    return Entry(credential.username, credential.password)
