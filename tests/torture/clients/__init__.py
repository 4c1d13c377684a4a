"""Programs that read Docker's logins, each with every kind of login that the agent leaves behind."""
