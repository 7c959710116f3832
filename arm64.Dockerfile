# Image of a gateway for 64-bit Raspberry Pis and other arm64 boards:
#
#     docker build -f arm64.Dockerfile -t sprawl-edge .
#
# Compiling and installing is done on the architecture of the machine that builds: JavaScript has none, and the packages with machine code bring
# prebuilt files of every architecture. The last stage runs nothing, so a PC needs no emulator for it. The architecture of that stage is fixed,
# and not left to --platform, since it has to fit the prebuilt files that the stage before keeps.
#
# Debian and not Alpine: the encryption of the mesh has no prebuilt file for musl. Bookworm has glibc 2.36, 2.33 is needed.
ARG NODE_IMAGE=docker.io/library/node:22-bookworm-slim

FROM --platform=$BUILDPLATFORM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json tsconfig.json ./
# Without scripts: "prepare" would compile sources that are not here yet, and no package has to be built.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY lib lib
COPY storage storage
COPY mesh mesh
COPY bridge bridge
RUN npm run build && rm dist/tsconfig.tsbuildinfo

FROM --platform=$BUILDPLATFORM ${NODE_IMAGE} AS production
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund
RUN find node_modules -path '*/prebuilds/*' -type f ! -path '*/prebuilds/linux-arm64/*' -delete
COPY LICENSE ./
COPY bin bin
COPY --from=build /build/dist dist
# What the last stage gets beside /app: it cannot run ln and mkdir itself.
WORKDIR /made
RUN mkdir -p data usr/local/bin && ln -s /app/bin/sprawl-edge.cjs usr/local/bin/sprawl-edge

FROM --platform=linux/arm64 ${NODE_IMAGE}
COPY --from=production /made/usr/local/bin /usr/local/bin
COPY --from=production --chown=1000:1000 /made/data /var/lib/sprawl
COPY --from=production /app /app
# The example is a working one: it opens the ports, and a start is refused until there is a password file.
COPY deploy/sprawl.yaml /etc/sprawl-edge/sprawl.yaml
# Also for "passwd", "join", "backup" and the others, whatever file they are given: nothing that must survive is to be outside of the volume.
ENV SPRAWL_DATA_DIR=/var/lib/sprawl
# "node" of the base image, as a number for those who check that it is not root.
USER 1000:1000
WORKDIR /var/lib/sprawl
VOLUME /var/lib/sprawl
EXPOSE 1883/tcp 8083/tcp 8883/tcp 8084/tcp 4430/tcp 4430/udp
# Ends with 0 where the gateway is ready, with 1 where it is not or does not answer. Starting Node costs a Pi up to a second of one core: once a minute.
HEALTHCHECK --interval=60s --timeout=15s --start-period=120s --retries=3 CMD ["sprawl-edge", "status", "--config", "/etc/sprawl-edge/sprawl.yaml"]
# In the form of a list, so that no shell stands between Docker's SIGTERM and the gateway.
ENTRYPOINT ["sprawl-edge"]
CMD ["up", "--config", "/etc/sprawl-edge/sprawl.yaml"]
