"""How the password of a secret is obtained: the secret holds it, or a cloud, a command or a file gives it."""

from dataclasses import dataclass

from agent.model.credential import AwsIdentity, AwsKeys, AzureIdentity, Credential, GoogleIdentity, TokenSource
from agent.model.ecr_token import token_expiry
from agent.model.encoded_login import ECR_USER
from agent.model.password_source import PasswordSource
from agent.model.problem import ProblemError
from agent.model.problems.environment import SecretInvalid
from agent.model.registry import ECR_PUBLIC_REGION
from agent.model.secret import Kind, RegistrySecret


@dataclass(frozen=True, slots=True)
class AwsDefaults:
    """The AWS settings for secrets that do not set these values themselves."""

    region: str | None = None
    role_arn: str | None = None


def kind_of(secret: RegistrySecret) -> Kind:
    """Return how the secret's password is obtained.

    Security: a token or AWS keys go to a host outside the cloud only if the secret sets the kind explicitly.

    Raises:
        ProblemError: the secret has AWS keys for such a host, and does not set the kind.
    """
    host = secret.registry.ecr
    # ECR and ECR Public take different tokens. The host name decides which, even against the secret's kind.
    ecr = None if host is None else Kind.ECR_PUBLIC if host.public else Kind.ECR
    if secret.kind in (Kind.ECR, Kind.ECR_PUBLIC):
        return ecr or secret.kind
    native = secret.native_kind
    if native is not None or secret.kind is not Kind.AUTO:
        # With a password of its own, such as _json_key, the login needs no cloud.
        return native or Kind.BASIC
    aws = secret.native or secret.has_aws_keys or secret.username in (None, ECR_USER)
    if ecr is not None and (aws or secret.role_arn is not None):
        return ecr
    if secret.has_aws_keys:
        raise _invalid(
            secret,
            f"AWS keys for {secret.registry}, which is not an ECR host name: set kind to ecr and set the region "
            "(or to basic, to send the keys there as a password)",
        )
    return Kind.BASIC


def source_of(secret: RegistrySecret, kind: Kind, defaults: AwsDefaults) -> Credential | TokenSource:
    """Return the secret's own credential, or what gives a token for its registry.

    Raises:
        ProblemError: the secret has not what this kind needs.
    """
    if secret.password_origin is not None:
        return PasswordSource(secret.password_origin, secret.registry, secret.username)
    if kind is Kind.BASIC:
        return _user_and_password(secret)
    if kind is Kind.GAR:
        return GoogleIdentity(secret.google_service_account)
    if kind is Kind.ACR:
        return AzureIdentity(secret.registry, secret.azure_client_id)
    if secret.username == ECR_USER and secret.password is not None:
        return Credential(ECR_USER, secret.password, expires_at=token_expiry(secret.password))
    return _identity(secret, kind, defaults)


def _user_and_password(secret: RegistrySecret) -> Credential:
    if secret.username is None or secret.password is None:
        raise _invalid(secret, "username and password are required")
    return Credential(secret.username, secret.password)


def _identity(secret: RegistrySecret, kind: Kind, defaults: AwsDefaults) -> AwsIdentity:
    ecr = secret.registry.ecr
    public = kind is Kind.ECR_PUBLIC
    # The region in an ECR host name is always right, so it takes precedence over the secret and the settings.
    region = ECR_PUBLIC_REGION if public else ecr.region if ecr else secret.region or defaults.region
    if region is None:
        raise _invalid(secret, f"region is missing: {secret.registry} does not contain it, and aws.region is not set")
    # aws.role_arn is for the environment's own identity. A secret's own keys may not be allowed to assume it.
    role_arn = secret.role_arn or (defaults.role_arn if secret.native else None)
    keys = _keys(secret)
    profile = None if keys else secret.profile
    return AwsIdentity(region, public, keys, role_arn, secret.external_id if role_arn else None, profile)


def _keys(secret: RegistrySecret) -> AwsKeys | None:
    if secret.native or secret.username is None:
        return None
    if not secret.has_aws_keys or secret.password is None:
        raise _invalid(
            secret, "username must be runner-native, an AWS access key id (AKIA…, ASIA…), or AWS with a token"
        )
    return AwsKeys(secret.username, secret.password, secret.session_token)


def _invalid(secret: RegistrySecret, fault: str) -> ProblemError:
    return ProblemError(SecretInvalid(secret.subject, f"secret {secret.name} of {secret.origin}: {fault}"))
