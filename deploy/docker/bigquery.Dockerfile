# Built from the repository's root: docker build -f deploy/docker/bigquery.Dockerfile .
FROM python:3.12-slim AS build
RUN --mount=type=cache,target=/root/.cache/pip pip install "uv==0.13.*"
# The system's certificates: an organisation's own root is trusted where the base image has it.
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=0 UV_NO_DEV=1 UV_SYSTEM_CERTS=1
WORKDIR /src
# The third-party layer is decided by the lock alone. --frozen, because --locked needs the members' manifests.
COPY pyproject.toml uv.lock ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-install-workspace --package pmpctl --extra bigquery-emulator
COPY shared shared
COPY deploy deploy
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-editable --package pmpctl --extra bigquery-emulator

FROM python:3.12-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin app
COPY --from=build /src/.venv /src/.venv
# A named volume mounted here starts with this owner. DuckDB unpacks its extension into the home folder.
RUN install -d -o app -g app /data
ENV PATH=/src/.venv/bin:$PATH PYTHONUNBUFFERED=1 PORT=9050 HOME=/data
USER 10001
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s CMD ["python", "-m", "pmp_runtime.http.probe"]
ENTRYPOINT ["python", "-m", "pmpctl.local.bigquery_emulator"]
CMD ["--host=0.0.0.0", "--rest-port=9050", "--grpc-port=9060", "--data-dir=/data"]
