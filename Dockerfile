# An image of the program on a distroless base, without a shell, a package manager or root.
#
#   docker build -t decnet .
#   docker run --rm -v decnet:/var/lib/decnet decnet token create --name admin --scope admin
#   docker run --rm -v decnet:/var/lib/decnet -e DECNET_API_HOST=0.0.0.0 -p 127.0.0.1:8000:8000 decnet

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --profile dist --locked --package decnet \
    && install -D -m 0755 target/dist/decnet /image/usr/bin/decnet \
    && install -d -m 0700 /image/var/lib/decnet \
    && install -d -m 0755 /image/run/decnet

FROM gcr.io/distroless/cc-debian12:nonroot
# Root owns the program, so that a compromised process cannot rewrite it. A new volume inherits the owner of its directory.
COPY --from=build /image/usr/bin/decnet /usr/bin/decnet
COPY --from=build --chown=65532:65532 /image/var/lib/decnet /var/lib/decnet
COPY --from=build --chown=65532:65532 /image/run/decnet /run/decnet
ENV DECNET_DATA_DIR=/var/lib/decnet \
    DECNET_BUS_SOCKET=/run/decnet/bus.sock
USER 65532:65532
VOLUME ["/var/lib/decnet"]
EXPOSE 8000
STOPSIGNAL SIGTERM
# Checks the worker, which is also part of `serve`. A container of bus or API alone needs its own check, as in compose.yaml.
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s --retries=3 CMD ["/usr/bin/decnet", "check", "--service", "webhook"]
ENTRYPOINT ["/usr/bin/decnet"]
CMD ["serve"]
