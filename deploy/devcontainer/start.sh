#!/bin/sh
# Starts the agent in the background: the feature's postStartCommand, at each start of the container.
#
# Not the feature's `entrypoint`: that runs as the container's user, often root, and sees only containerEnv. This hook
# runs as the remote user, whose Docker configuration the agent keeps, with the secrets that Codespaces and
# `devcontainer up --secrets-file` hand to lifecycle commands alone; and never in a prebuild, which would keep the login.
#
# It never waits and never fails: the tool runs the next hook only when this one has ended well.
trap '' HUP # until setsid has left the tool's terminal, its end must not take the agent along
setsid "$(dirname "$0")/supervise.sh" </dev/null >/dev/null 2>&1 &
exit 0
