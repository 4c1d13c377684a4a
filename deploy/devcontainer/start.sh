#!/bin/sh
# Starts the agent in the background. It is the feature's postStartCommand, which runs at each start of the container.
#
# The feature's `entrypoint` would not do: it runs as the container's user, often root, and gets only containerEnv. This
# hook runs as the remote user, whose Docker configuration the agent manages. It gets the secrets that Codespaces and
# `devcontainer up --secrets-file` give only to lifecycle commands. It never runs in a prebuild, which would save the
# login.
#
# It never waits and never fails, because the tool runs the next hook only if this one succeeds.
trap '' HUP # the agent must survive if the tool's terminal closes before setsid has left it
setsid "$(dirname "$0")/supervise.sh" </dev/null >/dev/null 2>&1 &
exit 0
