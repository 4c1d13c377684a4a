"""Serves the status over HTTP: the routes, access control, the page, and the OpenAPI document."""
