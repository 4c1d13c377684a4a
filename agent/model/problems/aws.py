"""Problems on the way to an ECR token: credentials, permissions, AWS itself, the clock."""

from agent.model.problem import Needs, Problem, RetryClass, Severity


class AwsCredentialsMissing(Problem):
    code = "aws_credentials_missing"
    # A person must act, but the retries stay frequent: a platform may attach the role minutes after the start.
    severity = Severity.ERROR
    needs = Needs.ADMIN
    hint = (
        "ask your AWS administrator to give this machine a role, or put AWS keys into the secret; in a container on "
        "EC2, set the metadata hop limit to 2"
    )


class AwsInteractiveLoginNeeded(AwsCredentialsMissing):
    # The profile needs an MFA code or an SSO login. Only the user can provide it, so the hint holds the command.
    needs = Needs.USER


class AwsSetupUnusable(AwsCredentialsMissing):
    # The cause is in the user's own files or variables: ~/.aws, AWS_PROFILE, a credential_process.
    needs = Needs.USER


class AwsAccessDenied(Problem):
    code = "aws_access_denied"
    severity = Severity.ERROR
    needs = Needs.ADMIN
    retry_class = RetryClass.REJECTED
    hint = (
        "ask your AWS administrator to allow the action shown in the message, in the IAM policy of the identity "
        "shown there"
    )


class AwsKeysRefused(AwsAccessDenied):
    # AWS refused keys that come from the secret or from the user's own files. Their owner must replace them.
    needs = Needs.USER


class AwsIdentityRejected(Problem):
    code = "aws_identity_rejected"
    severity = Severity.ERROR
    needs = Needs.ADMIN
    retry_class = RetryClass.REJECTED
    hint = (
        "ask your AWS administrator to compare the role's trust policy (IAM, Roles, Trust relationships) with the "
        "token's iss, aud and sub"
    )


class AwsIdentityUnavailable(Problem):
    # No error: a platform writes the token file, and may do so after the agent has started.
    code = "aws_identity_unavailable"
    needs = Needs.ADMIN
    hint = "ask your platform team to make sure that the file or command in the message provides a token for this user"


class AwsThrottled(Problem):
    code = "aws_throttled"
    fleet_wide = True
    needs = Needs.NOBODY
    hint = "wait: the agent tries again; many environments of this AWS account send requests at the same time"


class AwsUnreachable(Problem):
    code = "aws_unreachable"
    fleet_wide = True
    needs = Needs.ADMIN
    hint = (
        "ask your network administrator for access to AWS: a firewall rule, HTTPS_PROXY, or VPC endpoints for "
        "ecr.api and sts"
    )


class AwsBlockedBySettings(AwsUnreachable):
    # The user's own proxy or certificate variable is the cause.
    needs = Needs.USER


class AwsError(Problem):
    code = "aws_error"
    fleet_wide = True
    needs = Needs.NOBODY
    hint = "wait: the agent tries again; if the problem persists, check https://health.aws.amazon.com"


class NotAws(AwsError):  # noqa: N818 - as Problem
    # Something else answers instead of AWS, such as a captive portal. Waiting does not fix that.
    needs = Needs.USER


class ClockSkew(Problem):
    code = "clock_skew"
    severity = Severity.ERROR
    needs = Needs.ADMIN
    hint = (
        "set this machine's clock: `sudo timedatectl set-ntp true`; in a container, ask the host's administrator to "
        "set the host's clock"
    )
