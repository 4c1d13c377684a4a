"""Problems with a password that a command, a file or a credential helper gives."""

from agent.model.problem import Problem, Severity


class CredentialCommandFailed(Problem):
    """A warning while Docker holds a login that works, and an error otherwise."""

    code = "credential_command_failed"
    hint = (
        "fix the command, file or helper in the message: it must give the password, or JSON with it; the agent tries "
        "again by itself"
    )

    def without_login(self) -> Problem:
        return self.about(self.subject, severity=Severity.ERROR)
