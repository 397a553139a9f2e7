# The image that every task of the compiled pipeline runs in: `make image IMAGE=registry/ranklite:1`.
# The first stage builds the environment from the lock of the newest stack; the second holds that
# environment and the code, no build tools, and does not run as root.
ARG PYTHON=python:3.13-slim-trixie

FROM ${PYTHON} AS environment
WORKDIR /build
COPY requirements/tfx1.21.txt lock.txt
RUN python -m venv /opt/ranklite \
 && /opt/ranklite/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps -r lock.txt
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY ranklite ranklite
COPY models models
COPY components components
COPY pipeline pipeline
RUN /opt/ranklite/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation .

FROM ${PYTHON}
RUN useradd --create-home --uid 1000 ranklite \
 && mkdir -p /gcs /s3 /minio && chown ranklite /gcs /s3 /minio
COPY --from=environment /opt/ranklite /opt/ranklite
ENV PATH=/opt/ranklite/bin:$PATH \
    TF_USE_LEGACY_KERAS=1 \
    TF_CPP_MIN_LOG_LEVEL=3 \
    PYTHONUNBUFFERED=1
USER ranklite
WORKDIR /home/ranklite
# Kubeflow gives the command itself; by hand, `docker run ranklite` shows the help.
CMD ["ranklite", "--help"]
