# The image of `ranklite serve`: `docker build -f serve.Dockerfile -t ranklite-serve .`, then
# `docker run -v <folder of versions>:/models:ro -p 8080:8080 ranklite-serve`. The first stage builds
# the environment from its lock; the second holds that environment, no build tools, no training stack,
# and does not run as root. It writes nothing, so that its root may be read-only.
ARG BASE=docker.io/library/python:3.13-slim-trixie

FROM ${BASE} AS environment
WORKDIR /build
COPY requirements/serve.txt lock.txt
# Where pip has to be told of a mirror: `docker build --secret id=pip,src=pip.conf`.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv /opt/ranklite \
 && /opt/ranklite/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps -r lock.txt
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY ranklite ranklite
COPY models models
COPY components components
COPY pipeline pipeline
RUN /opt/ranklite/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation . \
 && /opt/ranklite/bin/pip uninstall --quiet --yes setuptools pip \
 && /opt/ranklite/bin/ranklite serve --help >/dev/null \
 && /opt/ranklite/bin/python -c "import ranklite.models.serving.http.server"
COPY requirements/sbom sbom
RUN /opt/ranklite/bin/python sbom >/opt/ranklite/sbom.cdx.json

FROM ${BASE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="RankLite server" \
      org.opencontainers.image.description="Scores and ranks over HTTP with the newest pushed version" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=environment /opt/ranklite /opt/ranklite
ENV PATH=/opt/ranklite/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD \
    ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["ranklite", "serve"]
CMD ["/models", "--host", "0.0.0.0", "--port", "8080"]
