"""AWS: credentials, roles and ECR tokens. Importing the client loads nothing of the AWS SDK."""
