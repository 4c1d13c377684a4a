"""The Google Cloud side: the identities, and the requests that lead to a token of Artifact Registry."""
