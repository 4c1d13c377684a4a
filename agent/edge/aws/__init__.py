"""AWS: credentials, roles and ECR tokens. Importing `sdk` loads the AWS SDK."""
