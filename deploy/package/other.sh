#!/bin/sh
# Sourced by the scripts of the package and of the archive. scripts/dist.sh copies it into postrm, which runs when the
# package's own files are gone.

# other_agent: prints the program of an agent that `make install` has installed. Its units are in /etc if its PREFIX is
# not /usr/local. Its directory is a link, which nobody else makes.
other_agent() {
    program=/lib/registry-agent/bin/registry-agent
    for program in "/usr/local$program" \
        $(sed -n "s|^ExecStart=\([^ ]*$program\) .*|\1|p" /etc/systemd/system/registry-agent@.service 2>/dev/null); do
        if [ -L "${program%/bin/registry-agent}" ]; then
            echo "$program"
            break
        fi
    done
}

# give_back_helper: that agent has left this link to the package or the archive, which is gone now.
give_back_helper() {
    name=bin/docker-credential-registry-agent
    program=$(other_agent)
    helper=${program%/lib/registry-agent/bin/registry-agent}/$name
    if [ -n "$program" ] && [ -x "$helper" ] && [ ! -e "/usr/$name" ]; then ln -sf "$helper" "/usr/$name" || true; fi
}
