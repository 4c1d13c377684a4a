"""What is wrong on the way to an ECR token."""

from agent.model.problem import Needs, Problem, RetryClass, Severity

# What AWS said


class AwsCredentialsMissing(Problem):
    code = "aws_credentials_missing"
    severity = Severity.ERROR
    needs = Needs.ADMIN
    hint = (
        "an AWS administrator must give this machine a role, or you put AWS keys into the secret; in a "
        "container on EC2 the metadata hop limit must be 2"
    )


class AwsInteractiveLoginNeeded(AwsCredentialsMissing):
    """The profile needs an MFA code or a login, which only a person can give; the hint has the command."""

    needs = Needs.USER


class AwsAccessDenied(Problem):
    code = "aws_access_denied"
    severity = Severity.ERROR
    needs = Needs.ADMIN
    retry_class = RetryClass.REJECTED
    hint = (
        "an AWS administrator must allow the action that the message names, in the IAM policy of the "
        "identity that it names"
    )


class AwsKeysRefused(AwsAccessDenied):
    """Those in the secret, which whoever wrote it must replace."""

    needs = Needs.USER


class AwsIdentityRejected(Problem):
    code = "aws_identity_rejected"
    severity = Severity.ERROR
    needs = Needs.ADMIN
    retry_class = RetryClass.REJECTED
    hint = (
        "an AWS administrator must compare the role's trust policy (IAM, Roles, Trust relationships) with "
        "the token's iss, aud and sub"
    )


class AwsIdentityUnavailable(Problem):
    code = "aws_identity_unavailable"
    needs = Needs.ADMIN
    hint = "whoever runs the platform must see that the file or the command in the message gives a token to this user"


class AwsThrottled(Problem):
    code = "aws_throttled"
    needs = Needs.NOBODY
    hint = "nothing to do: the agent tries again; many environments of this AWS account ask at the same time"


class AwsUnreachable(Problem):
    code = "aws_unreachable"
    needs = Needs.ADMIN
    hint = (
        "ask the network's administrator for a way to AWS: a firewall rule, HTTPS_PROXY, or VPC endpoints "
        "for ecr.api and sts"
    )


class AwsError(Problem):
    code = "aws_error"
    needs = Needs.NOBODY
    hint = "nothing to do at first: the agent tries again; if it lasts, look at https://health.aws.amazon.com"


class ClockSkew(Problem):
    code = "clock_skew"
    severity = Severity.ERROR
    needs = Needs.ADMIN
    hint = (
        "set this machine's clock: `sudo timedatectl set-ntp true`; in a container it is the host's, which "
        "its administrator must set"
    )
