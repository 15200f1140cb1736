# syntax=docker/dockerfile:1
# The dashboard and its headless commands; `fleetview export` unless another is named. From the root of the repository:
#   docker buildx bake --file deploy/docker/docker-bake.json fleetview
#   docker run --rm -it fleetview --broker mqtts://broker.plant.example:8883 ...
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS build
WORKDIR /build
RUN python -m venv --without-pip /opt/fleetview
# What both distributions depend on, from where that stands, apart from one another.
COPY constraints.txt pyproject.toml ./
COPY agent/pyproject.toml agent/
RUN python -c "import tomllib; found = [line for path in ('pyproject.toml', 'agent/pyproject.toml') for line in \
      tomllib.load(open(path, 'rb'))['project']['dependencies']]; \
      print(*(line for line in found if not line.startswith('fleetview-agent')), sep='\n')" > requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --disable-pip-version-check --python /opt/fleetview/bin/python install \
      --constraint constraints.txt --requirement requirements.txt
COPY README.md LICENSE ./
COPY agent/ agent/
COPY fleetview/ fleetview/
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --disable-pip-version-check --python /opt/fleetview/bin/python install --no-deps ./agent .

FROM python:${PYTHON}-slim-bookworm
RUN groupadd --gid 10001 fleetview \
    && useradd --uid 10001 --gid 10001 --create-home --shell /usr/sbin/nologin fleetview
COPY --from=build /opt/fleetview /opt/fleetview
ENV PATH=/opt/fleetview/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    FLEETVIEW_LISTEN=0.0.0.0:9109
USER 10001:10001
EXPOSE 9109
ENTRYPOINT ["fleetview"]
CMD ["export"]
