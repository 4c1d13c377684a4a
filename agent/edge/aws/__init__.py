"""AWS: credentials, roles and ECR tokens. Importing the client does not load the AWS SDK."""
