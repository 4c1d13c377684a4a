"""A week of many environments against ECR's quota, with the agent's own decisions."""
