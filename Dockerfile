# The agent, the docker CLI, and only what they need. Any builder can run `docker build -t registry-agent .`.
# You can copy /opt/registry-agent alone into any Linux image of the same architecture. It needs nothing else.
#
# The base is pinned by the date in its tag (or set a digest: --build-arg BASE=debian@sha256:…), the Python packages by
# the hashes in requirements.lock. Debian's python3 and docker-cli are not pinned: they are the current ones of the stable
# release, with its security fixes.
ARG BASE=debian:trixie-20260918-slim

FROM ${BASE} AS build
RUN apt-get -qq update \
 && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends \
        binutils ca-certificates patchelf python3 python3-venv >/dev/null

# The rest of the image. docker needs only the C library. Links lead it to the one in the tree. Any user can write to the
# agent's directories, because a tmpfs or a new volume gets the mode of the directory where it is mounted.
WORKDIR /docker-cli
RUN chown _apt . && apt-get -qq download docker-cli && dpkg-deb --extract docker-cli_*.deb .
WORKDIR /image
RUN install -D /docker-cli/usr/bin/docker usr/bin/docker \
 && install -D -m 0644 /docker-cli/usr/share/doc/docker-cli/copyright usr/share/doc/docker-cli/copyright \
 && ldd usr/bin/docker | grep -o '/[^ ]*' | while read -r library; do \
        mkdir -p ".${library%/*}" && ln -s "/opt/registry-agent/lib/${library##*/}" ".$library" || exit; \
    done \
 && install -D -m 0644 -t etc/ssl/certs /etc/ssl/certs/ca-certificates.crt \
 && install -m 0644 -t etc /etc/os-release \
 && echo 'root:x:0:0::/:/' >etc/passwd \
 && echo 'agent:x:1000:1000::/home/agent:/' >>etc/passwd \
 && printf '%s\n' root:x:0: agent:x:1000: >etc/group \
 && printf '%s\n' 'passwd: files' 'group: files' 'hosts: files dns' >etc/nsswitch.conf \
 && install -d home/agent run/secrets/registries \
 && install -d -m 1777 tmp home/agent/.docker run/registry-agent var/lib/registry-agent

WORKDIR /src
COPY LICENSE requirements.lock ./
COPY scripts scripts
COPY agent agent
RUN scripts/portable-tree.sh /opt/registry-agent

# Vulnerability scanners read these files: they list the Debian packages that the image contains parts of.
RUN mkdir -p /image/var/lib/dpkg/status.d \
 && for package in $(ls /opt/registry-agent/share/doc); do \
        dpkg-query --status "$package" >"/image/var/lib/dpkg/status.d/$package" || exit; \
    done \
 && dpkg-deb --field /docker-cli/docker-cli_*.deb >/image/var/lib/dpkg/status.d/docker-cli

FROM scratch
COPY --from=build /image /
COPY --from=build /opt/registry-agent /opt/registry-agent
LABEL org.opencontainers.image.title="Registry Agent" \
      org.opencontainers.image.description="Keeps a development environment logged in to its private container registries" \
      org.opencontainers.image.version="1.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
# Any user works. 1000 is the first user on most machines, so usually the owner of the Docker configuration.
USER 1000:1000
# Set explicitly, so that the directories to mount are the same for every --user.
ENV PATH=/opt/registry-agent/bin:/usr/bin \
    HOME=/home/agent \
    DOCKER_CONFIG=/home/agent/.docker \
    RUNTIME_DIRECTORY=/run/registry-agent \
    STATE_DIRECTORY=/var/lib/registry-agent
WORKDIR /
# Without --strict: if a registry refuses the password, the agent still works, and a restart would fix nothing.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
    CMD ["/opt/registry-agent/bin/registry-agent", "status", "--timeout", "3"]
ENTRYPOINT ["/opt/registry-agent/bin/registry-agent"]
CMD ["run"]
