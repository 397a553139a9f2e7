# The image that every task of the compiled pipeline runs in: `make image IMAGE=registry/ranklite:1`.
# The first stage builds the environment from the lock of the newest stack; the second holds that
# environment and the code, no build tools, and does not run as root. BASE is a Debian 13 or Ubuntu
# 24.04 with Python 3.11, 3.12 or 3.13 and its venv. What remains and why: docs/kubeflow.md.
ARG BASE=docker.io/library/python:3.13-slim-trixie

FROM ${BASE} AS environment
WORKDIR /build
COPY requirements/image.txt lock.txt
# Where pip has to be told of a mirror: `docker build --secret id=pip,src=pip.conf`.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv /opt/ranklite \
 && /opt/ranklite/bin/pip install --no-cache-dir --no-compile --disable-pip-version-check --require-hashes --no-deps -r lock.txt
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY ranklite ranklite
COPY models models
COPY components components
COPY pipeline pipeline
# Removed is what only builds or tests: pip, libclang, headers, the tests of other packages.
RUN /opt/ranklite/bin/pip install --no-cache-dir --no-compile --disable-pip-version-check --no-deps --no-build-isolation . \
 && /opt/ranklite/bin/pip uninstall --quiet --yes libclang pip \
 && cd /opt/ranklite && rm -rf /build/* \
 && find . -depth -type d \( -name __pycache__ -o -name tests -o -name include \) ! -path '*.dist-info/*' -exec rm -r {} +
# A task spends its first seconds importing. The bytecode of the modules that tasks import, and of no
# others, halves them; that every module of ours can be imported is checked by the way.
RUN TF_USE_LEGACY_KERAS=1 TF_CPP_MIN_LOG_LEVEL=3 /opt/ranklite/bin/python -c "import importlib, pkgutil, ranklite; \
[importlib.import_module(m.name) for m in pkgutil.walk_packages(ranklite.__path__, 'ranklite.') if not m.name.endswith('__main__')]; \
importlib.import_module('tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor')"
COPY requirements/sbom sbom
RUN /opt/ranklite/bin/python sbom >/opt/ranklite/sbom.cdx.json

FROM ${BASE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="RankLite" \
      org.opencontainers.image.description="Every task of a RankLite pipeline, and its command line" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Whatever the user's id, its group is 0: that may write at home and where Kubeflow's launcher mirrors
# artifacts. With a read-only root these three, /tmp and, for `ranklite run`, `runs` are mounts.
RUN useradd --uid 1000 --gid 0 --create-home ranklite \
 && mkdir -p /home/ranklite/runs /gcs /s3 /minio \
 && chmod -R g=u,o=rX /home/ranklite && chmod 775 /gcs /s3 /minio
COPY --from=environment /opt/ranklite /opt/ranklite
COPY configs /home/ranklite/configs
ENV PATH=/opt/ranklite/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/home/ranklite \
    TF_USE_LEGACY_KERAS=1 \
    TF_CPP_MIN_LOG_LEVEL=3 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 1000
WORKDIR /home/ranklite
# Kubeflow gives the command itself; by hand this is the default run, on generated data.
CMD ["ranklite", "run"]
