"""Simulates a week of many environments and ECR's quota, with the agent's own decisions."""
