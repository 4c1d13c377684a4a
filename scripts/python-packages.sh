# shellcheck shell=bash
# Sourced by all scripts that install Python packages. They install exactly what the lock files list. With --no-deps, pip
# resolves nothing, so a newer release in the index has no effect.

# Prints, as shell commands, pip's settings about where packages are and how to connect. It leaves out all others:
# target, user, constraint, no-binary and more would change what is installed, or where.
pip_transport='
import ast, re, shlex, sys
kept = """cache-dir cert client-cert default-timeout extra-index-url find-links index-url keyring-provider no-cache-dir
    no-index proxy pypi-url retries timeout trusted-host""".split()
certificates = {"use-feature": "truststore", "use-deprecated": "legacy-certs"}
listed = re.findall(r"^(global|install|:env:)\.([\w-]+)=(.+)$", sys.stdin.read(), re.MULTILINE)
for section in "global", "install", ":env:":  # the last one takes precedence
    for name, value in ((name, ast.literal_eval(value)) for where, name, value in listed if where == section):
        if (value and name in kept) or certificates.get(name, "-") in value.split():
            variable = "PIP_" + name.upper().replace("-", "_")
            print("export", shlex.quote(variable + "=" + certificates.get(name, value)))
'

# helper_program PYTHON PACKAGES: prints the credential helper, which docker runs for each image. It imports compiled
# code, because compiling at each start would take a tenth of the time. Without -S, a start would take half as long
# again.
helper_program() {
    cat <<END
#!$1 -ISE
import sys

sys.path.insert(0, "$2")
from agent.helper.docker_credential_registry_agent import main

main()
END
}

# use_pip PYTHON: sets `pip` to the command that runs the pip of this interpreter.
use_pip() {
    local listed settings
    pip=("$1" -I -m pip --disable-pip-version-check --no-input)
    # -vvv takes precedence over a configured `quiet`.
    listed=$(env -u PIP_PYTHON -u PIP_QUIET -u PIP_LOG "${pip[@]}" -vvv config list 2>&1) &&
        settings=$("$1" -I -c "$pip_transport" <<<"$listed") || { echo "$listed" >&2; return 1; }
    unset "${!PIP_@}"
    export PIP_CONFIG_FILE=/dev/null PIP_ROOT_USER_ACTION=ignore
    eval "$settings"
}

# into_environment PYTHON ARGUMENT...: runs pip for the environment of this interpreter.
into_environment() {
    local environment=()
    [[ $1 == "${pip[0]}" ]] || environment=(--python "$1")
    "${pip[@]}" "${environment[@]}" "${@:2}"
}

# install_locked PYTHON LOCKFILE...: writes no bytecode, because only the caller knows the final path.
install_locked() {
    local python=$1 lock locks=()
    for lock in "${@:2}"; do locks+=(--requirement "$lock"); done
    into_environment "$python" install -qq --no-compile --no-deps --require-hashes --only-binary :all: "${locks[@]}"
}

# check_environment PYTHON: fails unless each package has what it requires, in a version that it accepts.
check_environment() {
    local said
    said=$(into_environment "$1" check 2>&1) || { echo "$said" >&2; return 1; }
}
