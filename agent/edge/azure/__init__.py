"""The Azure side: the identities, and the requests that lead to a token of a container registry."""
