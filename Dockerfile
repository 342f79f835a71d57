# The image of all services: python -m api, python -m scheduler, python -m runner. docs/containers.md tells about it.
# BASE holds python3 3.11 or newer with venv; both stages stand on it, so that the virtual environment fits.
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
# Where packages come from, in pip's own names. They are of this stage alone; nothing of it but /opt/millstream is kept.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
ARG PIP_PROXY
ARG PIP_CERT
ARG PIP_DEFAULT_TIMEOUT
WORKDIR /build

# pip stays outside of the environment that it fills.
RUN python3 -m venv pip && python3 -m venv --without-pip /opt/millstream

# ca.pem is there only where somebody has put it: the certificates of an own index, for PIP_CERT=/build/ca.pem.
COPY requirements.txt requirements-image.txt ca.pe[m] ./
# requirements.txt pins what builds the wheel, too: its build backend and what that needs. pip refuses what is missing
# here or has another hash. Wheels only: there is no compiler.
RUN awk '/^[a-z]/ { kept = /^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/ } kept' \
      requirements.txt > requirements-build.txt \
    && pip/bin/pip install --no-cache-dir --only-binary :all: --require-hashes -r requirements-build.txt \
    && pip/bin/pip --python /opt/millstream/bin/python install --no-cache-dir --no-compile \
      --only-binary :all: --require-hashes -r requirements-image.txt

COPY pyproject.toml README.md LICENSE ./
COPY src src
# Bytecode is compiled here: nobody can write it later. Unchecked, because a copy may have other times than its source.
RUN pip/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir dist . \
    && pip/bin/pip --python /opt/millstream/bin/python install --no-deps --no-index --no-compile \
      --find-links dist millstream \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/millstream/lib

FROM ${BASE}
COPY --from=build /opt/millstream /opt/millstream
ENV PATH=/opt/millstream/bin:$PATH
# A name for the number, because libraries ask whose process it is. The import proves that all is there, and compiles
# what it needs of the standard library, which some bases bring without bytecode.
RUN echo 'millstream:x:10001:10001::/tmp:/usr/sbin/nologin' >> /etc/passwd \
    && echo 'millstream:x:10001:' >> /etc/group \
    && python -c 'import api.service, runner.service, scheduler.service, millstream.doctor.examination'

# The services listen on all addresses of the container. Who can reach them is decided outside: there are no API keys.
ENV MILLSTREAM_API_HOST=0.0.0.0 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1
# A user's modules are copied to /app.
WORKDIR /app
USER 10001:10001
EXPOSE 8000 8001
STOPSIGNAL SIGTERM
# No HEALTHCHECK: what is asked depends on the command, so compose.yaml and the Kubernetes manifests ask.
CMD ["millstream", "--help"]

ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="Millstream" \
      org.opencontainers.image.description="A workflow engine driven by Redis Streams" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT"
