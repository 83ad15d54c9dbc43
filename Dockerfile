# The container of "replifire serve": one static binary in an image that has no
# shell and no package manager, run by a user without rights.
#
# Pin both images by digest before you depend on this file, as BASE@sha256:…:
#   docker buildx imagetools inspect golang:1.26-bookworm
#   docker buildx imagetools inspect gcr.io/distroless/static-debian12:nonroot
# print the digests ("make digests" does both); give them with --build-arg, or as
# _GO_IMAGE and _RUN_IMAGE of cloudbuild.yaml. They are not written here because
# they could not be looked up where this file was written.
ARG GO_IMAGE=golang:1.26-bookworm
ARG RUN_IMAGE=gcr.io/distroless/static-debian12:nonroot

FROM ${GO_IMAGE} AS build
WORKDIR /src
# The go command must be the image's: nothing else is downloaded to build with.
ENV GOTOOLCHAIN=local
# Modules are downloaded again only when these two files change.
COPY go.mod go.sum ./
RUN go mod download && go mod verify
COPY . .
ARG VERSION=
ARG COMMIT=
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false \
    -ldflags="-s -w -X main.version=${VERSION} -X main.commit=${COMMIT}" \
    -o /replifire ./cmd/replifire

FROM ${RUN_IMAGE}
COPY --from=build /replifire /replifire
# 65532 is "nonroot": by number, so that a platform can see that it is not root.
USER 65532:65532
# The default of PORT, which Cloud Run sets.
EXPOSE 8080
ENTRYPOINT ["/replifire", "serve"]
