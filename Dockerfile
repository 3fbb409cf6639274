# The image of Contexture: two programs, the libraries that they load and certificate authorities, without shell or
# package manager.
#
#   docker build -t contexture .
#   docker run --read-only --cap-drop=ALL -p 127.0.0.1:50051:50051 -e CONTEXTURE_ALLOW_PLAINTEXT=true \
#     -v "$(scripts/fetch-model):/model:ro" contexture
#
# Build arguments:
#   BASE      the system that it is built on; by digest for inputs that do not move
#   MODEL     a model directory of the build context, baked into /model; empty: mounted at /model
#   VERSION, REVISION, CREATED   what the labels say
#
# scripts/check-image builds and runs it where there is no Docker.
ARG BASE=debian:bookworm-slim
ARG MODEL=""

# oneDNN alone: this stage changes with its recipe, not with our sources, and takes 20 minutes.
FROM ${BASE} AS onednn
ENV CONTEXTURE_CACHE=/var/cache/contexture
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      ca-certificates cmake dpkg-dev g++ libspdlog-dev ninja-build && \
    rm -rf /var/lib/apt/lists/*
COPY scripts/lib/common.sh scripts/lib/onednn.sh /src/scripts/lib/
WORKDIR /src
RUN ["/bin/bash", "-euc", ". scripts/lib/common.sh; . scripts/lib/onednn.sh; provide_onednn"]

FROM onednn AS build
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      binutils cargo-web ccache libabsl-dev libcli11-dev libgrpc++-dev libprotobuf-dev libssl-dev \
      libyaml-cpp-dev lld nlohmann-json3-dev pkg-config prometheus-cpp-dev protobuf-compiler \
      protobuf-compiler-grpc rustc-web && \
    rm -rf /var/lib/apt/lists/*
COPY scripts/lib/opentelemetry.sh /src/scripts/lib/
RUN ["/bin/bash", "-euc", ". scripts/lib/common.sh; . scripts/lib/onednn.sh; . scripts/lib/opentelemetry.sh; provide_opentelemetry"]
COPY CMakeLists.txt CMakePresets.json /src/
COPY cmake /src/cmake
COPY scripts/build /src/scripts/build
COPY scripts/lib /src/scripts/lib
COPY proto /src/proto
COPY core /src/core
COPY server /src/server
COPY client /src/client
RUN CONTEXTURE_TRACES=ON scripts/build release contexture contexture-server
COPY deploy/image/collect-rootfs /src/deploy/image/collect-rootfs
RUN /src/deploy/image/collect-rootfs /rootfs \
      /src/build/release/bin/contexture-server /src/build/release/bin/contexture

FROM scratch AS runtime
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="Contexture" \
      org.opencontainers.image.description="A gRPC server for transformer encoders that batches without padding" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=build /rootfs/ /
# Plain text on these addresses still has to be asked for: CONTEXTURE_ALLOW_PLAINTEXT.
ENV CONTEXTURE_MODEL=/model \
    CONTEXTURE_LISTEN=0.0.0.0:50051 \
    CONTEXTURE_HEALTH_LISTEN=0.0.0.0:50052 \
    CONTEXTURE_METRICS_LISTEN=0.0.0.0:9090 \
    CONTEXTURE_LOG_FORMAT=json
EXPOSE 50051 50052 9090
USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s --retries=3 \
  CMD ["/usr/bin/contexture", "--server=localhost:50052", "--timeout=2", "health", "--quiet"]
ENTRYPOINT ["/usr/bin/contexture-server"]

FROM runtime AS runtime-baked
ARG MODEL
COPY ${MODEL:-scripts/lib} /model

# runtime without a model, runtime-baked with one.
FROM runtime${MODEL:+-baked} AS contexture
