"""The status over HTTP: routes, who may ask, and the description of both."""
