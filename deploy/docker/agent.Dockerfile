# The agent. From the root of the repository:
#   docker buildx bake --file deploy/docker/docker-bake.json agent
#   docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#     --volume ./agent.toml:/etc/fleetview-agent/agent.toml:ro --volume agent-state:/var/lib/fleetview-agent fleetview-agent
# BASE is another where python's is to be had elsewhere, or not at all: `make images` tells.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /build
# Also for what builds the distributions, which pip installs for itself.
ENV PIP_CONSTRAINT=/build/constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv --without-pip /opt/fleetview
# What it depends on, from the one place where that stands: this layer stays until pyproject.toml or a version changes.
COPY constraints.txt agent/pyproject.toml ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
      > requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.crt \
    pip --python /opt/fleetview/bin/python install --requirement requirements.txt
COPY agent/ ./
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.crt \
    pip --python /opt/fleetview/bin/python install --no-deps .

FROM ${BASE}
# The number, and not only the name, is what Kubernetes' runAsNonRoot can see, and what a volume's files belong to.
RUN groupadd --gid 10001 fleetview \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/fleetview-agent --shell /usr/sbin/nologin fleetview \
    && install --directory --owner=10001 --group=10001 --mode=0750 /var/lib/fleetview-agent
COPY --from=build /opt/fleetview /opt/fleetview
ENV PATH=/opt/fleetview/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    FLEETVIEW_AGENT_CONFIG=/etc/fleetview-agent/agent.toml \
    FLEETVIEW_AGENT_DEPLOYMENT=container \
    FLEETVIEW_AGENT_STATE_DIR=/var/lib/fleetview-agent
VOLUME /var/lib/fleetview-agent
USER 10001:10001
# To the agent only, which ends its modules in their order.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 CMD ["fleetview-agent", "health"]
ENTRYPOINT ["fleetview-agent"]
CMD ["run"]
