# The dashboard and its headless commands; `fleetview export` unless another is named. From the root of the repository:
#   docker buildx bake --file deploy/docker/docker-bake.json fleetview
#   docker run --rm -it --volume ./config.toml:/etc/fleetview/config.toml:ro --volume fleetview-state:/var/lib/fleetview fleetview
# BASE is another where python's is to be had elsewhere, or not at all: `make images` tells.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /build
# Also for what builds the distributions, which pip installs for itself.
ENV PIP_CONSTRAINT=/build/constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv --without-pip /opt/fleetview
# What both distributions depend on, from where that stands, apart from one another.
COPY constraints.txt pyproject.toml ./
COPY agent/pyproject.toml agent/
RUN python -c "import tomllib; found = [line for path in ('pyproject.toml', 'agent/pyproject.toml') for line in \
      tomllib.load(open(path, 'rb'))['project']['dependencies']]; \
      print(*(line for line in found if not line.startswith('fleetview-agent')), sep='\n')" > requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.crt \
    pip --python /opt/fleetview/bin/python install --requirement requirements.txt
COPY README.md LICENSE ./
# The demo's, which pyproject.toml puts into the distribution.
COPY deploy/prometheus/recording_rules.yml deploy/prometheus/alert_rules.yml deploy/prometheus/
COPY agent/ agent/
COPY fleetview/ fleetview/
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.crt \
    pip --python /opt/fleetview/bin/python install --no-deps ./agent .

FROM ${BASE}
RUN groupadd --gid 10001 fleetview \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/fleetview --shell /usr/sbin/nologin fleetview \
    && install --directory --owner=10001 --group=10001 --mode=0750 /var/lib/fleetview
COPY --from=build /opt/fleetview /opt/fleetview
# Contexts are read from /etc/fleetview/config.toml. The record of commands and the journals of rollouts are kept in
# /var/lib/fleetview, which is no VOLUME, for the exporter keeps nothing: whoever sends commands or runs `control` mounts one.
ENV PATH=/opt/fleetview/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    XDG_CONFIG_HOME=/etc \
    XDG_STATE_HOME=/var/lib \
    FLEETVIEW_LISTEN=0.0.0.0:9109
USER 10001:10001
EXPOSE 9109
ENTRYPOINT ["fleetview"]
CMD ["export"]
