# syntax=docker/dockerfile:1

FROM python:3.13-slim-bookworm AS build
# So that neither the wheel nor the bytecode holds the time at which it is made. 1980 is as old as a wheel can be.
ARG SOURCE_DATE_EPOCH=315532800
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements-build.lock requirements.lock ./
# Only wheels: what others' sources are built with is locked nowhere.
RUN pip install --require-hashes --only-binary :all: -r requirements-build.lock \
    && python -m venv --without-pip /opt/transcoding-exporter \
    && pip --python /opt/transcoding-exporter/bin/python install --require-hashes --only-binary :all: -r requirements.lock
COPY LICENSE README.md pyproject.toml setup.cfg ./
COPY exporter exporter
# Links in exporter/mixin lead to these two.
COPY docs/runbooks docs/runbooks
COPY grafana/dashboards grafana/dashboards
RUN pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheels . \
    && pip --python /opt/transcoding-exporter/bin/python install --no-index --no-deps /wheels/*.whl \
    && pip --python /opt/transcoding-exporter/bin/python check

FROM python:3.13-slim-bookworm
ARG VERSION=0.1.0
ARG REVISION
LABEL org.opencontainers.image.title="transcoding-exporter" \
      org.opencontainers.image.description="Prometheus exporter for cloud transcoding: Qencode and Livepeer Studio" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="docker.io/library/python:3.13-slim-bookworm"
COPY --from=build /opt/transcoding-exporter /opt/transcoding-exporter
# The ledger: a named volume takes over the owner of the folder that it is mounted on.
RUN install --directory --owner 65532 --group 65532 --mode 0750 /data
ENV PATH=/opt/transcoding-exporter/bin:$PATH PYTHONUNBUFFERED=1
# A number, so that Kubernetes can tell that it isn't root.
USER 65532:65532
# From here, the default place of the ledger is /data/ledger.db.
WORKDIR /
VOLUME /data
EXPOSE 10477
# Not by urllib, which would ask a proxy. Whoever serves on another port has to say so here, too.
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s --start-interval=1s \
    CMD ["python", "-c", "import http.client as h, sys; c = h.HTTPConnection('127.0.0.1', 10477, timeout=4); c.request('GET', '/-/healthy'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["transcoding-exporter"]
CMD ["serve"]
