# Equipoise, for a CPU by default. With an NVIDIA GPU:
#   docker build --build-arg TORCH=cu130 --tag equipoise .
# TORCH is a value of uv's --torch-backend. With TORCH= (empty) PyTorch comes from the package
# index like everything else: a CUDA build that runs on a CPU, too, and is about 4 GB larger.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ARG UV_RELEASE=0.13.9
ARG TORCH=cpu
ENV VIRTUAL_ENV=/opt/equipoise \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never
RUN python -m pip install --no-cache-dir "uv==${UV_RELEASE}" && uv venv "${VIRTUAL_ENV}"
WORKDIR /src
# Dependencies come first: this layer is built again only when they change.
COPY pyproject.toml constraints.txt ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install ${TORCH:+--torch-backend "${TORCH}"} --constraints constraints.txt \
      --extra postgres --requirements pyproject.toml
COPY README.md LICENSE ./
COPY strategies strategies
COPY model model
COPY experiments experiments
COPY demo demo
COPY backend backend
RUN --mount=type=cache,target=/root/.cache/uv uv pip install --no-deps .

FROM python:${PYTHON}-slim
RUN useradd --uid 10001 --create-home equipoise \
    && install --directory --mode=0700 --owner=equipoise --group=equipoise /data
COPY --from=build /opt/equipoise /opt/equipoise
# 0.0.0.0 is refused at start unless EQUIPOISE_BASIC_AUTH_USER and _PASS are given.
ENV PATH=/opt/equipoise/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    EQUIPOISE_HOST=0.0.0.0 \
    EQUIPOISE_PORT=9090 \
    EQUIPOISE_DATA_DIR=/data \
    HF_HOME=/data/huggingface
# An equipoise.toml is read from here, and what must outlive the container is here.
WORKDIR /data
VOLUME /data
USER equipoise
EXPOSE 9090
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open(f'http://127.0.0.1:{os.environ[\"EQUIPOISE_PORT\"]}/health', timeout=3)"]
ENTRYPOINT ["equipoise"]
CMD ["serve"]
