# The program alone on a distroless base: no shell, no package manager, no root.
#
#   docker build -t decnet .
#   docker run --rm -v decnet:/var/lib/decnet -p 127.0.0.1:8000:8000 decnet

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package decnet \
    && strip --strip-unneeded target/release/decnet \
    && install -D -m 0755 target/release/decnet /image/usr/bin/decnet \
    && install -d -m 0750 /image/var/lib/decnet \
    && install -d -m 0755 /image/run/decnet

FROM gcr.io/distroless/cc-debian12:nonroot
# New volumes take over the owner of these directories.
COPY --from=build --chown=65532:65532 /image/ /
ENV DECNET_DATA_DIR=/var/lib/decnet \
    DECNET_BUS_SOCKET=/run/decnet/bus.sock
USER 65532:65532
VOLUME ["/var/lib/decnet"]
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s --retries=3 CMD ["/usr/bin/decnet", "check"]
ENTRYPOINT ["/usr/bin/decnet"]
CMD ["serve"]
