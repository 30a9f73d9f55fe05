# The image of api, bridge, worker, beat, flower, migrate and topics: one image, the command says which.
FROM python:3.11.15-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_CONSTRAINT=/src/constraints.txt
WORKDIR /src
RUN python -m venv --without-pip /opt/polling
# The packages first: this layer stays while only our own code changes.
COPY constraints.txt pyproject.toml setup.py ./
RUN pip --python /opt/polling/bin/python install .
COPY bridge bridge
COPY polling polling
COPY tasks tasks
COPY websocket websocket
RUN pip --python /opt/polling/bin/python install --no-deps --force-reinstall .

FROM python:3.11.15-slim-bookworm
RUN useradd --uid 10001 --create-home --home-dir /var/lib/polling --shell /usr/sbin/nologin polling
COPY --from=build /opt/polling /opt/polling
ENV PATH=/opt/polling/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/polling
USER polling
ENTRYPOINT ["polling"]
CMD ["api"]
