# replifire. "make" lists the targets; .ci/run is what CI runs.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

GOLANGCI_LINT_VERSION := v2.15.0
GOVULNCHECK_VERSION   := v1.9.0
LICENCES_VERSION      := v0.11.1
SBOM_VERSION          := v1.10.0
BENCHSTAT_VERSION     := v0.0.0-20260908200009-22c9c6c9d4da

TOOLS     := $(CURDIR)/.bin
GOLANGCI  := $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION)
VULN      := $(TOOLS)/govulncheck-$(GOVULNCHECK_VERSION)
LICENCES  := $(TOOLS)/go-licence-detector-$(LICENCES_VERSION)
SBOM      := $(TOOLS)/cyclonedx-gomod-$(SBOM_VERSION)
BENCHSTAT := $(TOOLS)/benchstat-$(BENCHSTAT_VERSION)
BIN       := $(CURDIR)/bin/replifire
CLIENT    := test/replicache
BROWSER   := test/browser
RULES     := test/rules
SIGNIN    := test/signin

# The page and its helper package are built by Node, where there is Node.
WEB_CLIENT := web/client
PAGE       := web/chat
NPM        := $(shell command -v npm)

# $(call without-npm,WHAT): says that WHAT is left out, which CI does not forgive.
without-npm = echo '$(1) were SKIPPED: there is no npm. Install Node 20.19 or later.'; test "$${CI:-}" != true

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null)

# One emulator for everything that a command runs.
WITH_EMULATOR := go run ./internal/emulator/cmd/with-emulator --

# The race detector needs a C compiler.
RACE := $(if $(shell command -v $$(go env CC)),-race)

# More flags for go test, such as GOTESTFLAGS='-run TestPush -v'.
GOTESTFLAGS ?=
# More flags for make bench, such as BENCHFLAGS='-only streams'.
BENCHFLAGS ?=
# What make bench-compare compares with.
BASE ?= HEAD~1
# How long each fuzz target runs.
FUZZTIME ?= 20s
# About how long make soak takes, and which part of it (see .ci/soak), all if empty.
SOAK ?= 30m
PART ?=

##@ Everyday

.PHONY: help
help: ## List the targets.
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: dev
dev: build ## Serve on http://localhost:8080, on the Firestore emulator or in memory.
	@exec $(BIN) dev

.PHONY: test
test: ## Run all tests: Go on both stores, the real Replicache client, the page in a browser.
	@$(WITH_EMULATOR) .ci/parts page test-go test-client test-web test-rules test-signin test-browser

.PHONY: check
check: test cover-core mutants lint shell vuln mod licences sbom fuzz ## Run everything that CI runs.

##@ Parts of it

.PHONY: test-go
test-go: ## Run the Go tests with the race detector.
ifneq ($(NPM),)
	@$(MAKE) --no-print-directory $(CLIENT)/node_modules/.package-lock.json # for test/robustness
endif
	@$(if $(RACE),,echo 'There is no C compiler, so the race detector is off.'; test "$${CI:-}" != true)
	go test $(RACE) -shuffle=on -timeout=15m $(GOTESTFLAGS) ./...

.PHONY: test-client
test-client: build ## Run the tests with the real Replicache client, in Node.
ifeq ($(NPM),)
	@$(call without-npm,The tests with the Replicache client)
else
	@$(MAKE) --no-print-directory $(CLIENT)/node_modules/.package-lock.json $(WEB_CLIENT)/dist/index.js
	cd $(CLIENT) && REPLIFIRE_BIN=$(BIN) npm test
endif

.PHONY: test-web
test-web: build ## Run the tests of the client package and of the page's mutators.
ifeq ($(NPM),)
	@$(call without-npm,The tests of the client package and the page)
else
	cd $(WEB_CLIENT) && npm run check && REPLIFIRE_BIN=$(BIN) npm test
	cd $(PAGE) && npm run check && npm test
endif

.PHONY: test-browser
test-browser: build ## Run the tests of the page in Chromium.
ifeq ($(NPM),)
	@$(call without-npm,The tests in a browser)
else
	@$(MAKE) --no-print-directory $(CLIENT)/node_modules/.package-lock.json $(BROWSER)/node_modules/.package-lock.json
	cd $(BROWSER) && REPLIFIRE_BIN=$(BIN) npm test
endif

.PHONY: test-rules
test-rules: build ## Run the tests of firestore.rules.
ifeq ($(NPM),)
	@$(call without-npm,The tests of firestore.rules)
else
	@$(MAKE) --no-print-directory $(CLIENT)/node_modules/.package-lock.json $(RULES)/node_modules/.package-lock.json
	cd $(RULES) && REPLIFIRE_BIN=$(BIN) npm test
endif

.PHONY: test-signin
test-signin: build ## Run the tests of signing in: a provider, the Firebase Auth emulator, the real client.
ifeq ($(NPM),)
	@$(call without-npm,The tests of signing in)
else
	@$(MAKE) --no-print-directory $(CLIENT)/node_modules/.package-lock.json $(SIGNIN)/node_modules/.package-lock.json
	cd $(SIGNIN) && REPLIFIRE_BIN=$(BIN) npm test
endif

%/node_modules/.package-lock.json: %/package-lock.json
	cd $* && npm ci --no-audit --no-fund
	@touch $@

.PHONY: race
race: ## Run the Go tests many times over, to find races.
	$(WITH_EMULATOR) go test -race -shuffle=on -count=10 -timeout=60m $(GOTESTFLAGS) ./...

.PHONY: fuzz
fuzz: ## Fuzz each target for FUZZTIME.
	.ci/fuzz $(FUZZTIME)

.PHONY: mutants
mutants: ## Build the simulation with each planted bug, all of which it must find.
	go test ./internal/sim -run '^TestMutantsAreFound$$' -sim.mutants -v -count=1 -timeout=20m

.PHONY: soak
soak: ## Run the long tests for SOAK, or one PART of them (.ci/soak); SEED=N for the same again.
	@$(MAKE) --no-print-directory $(CLIENT)/node_modules/.package-lock.json
	.ci/soak $(SOAK) $(PART)

.PHONY: bench
bench: build ## Measure everything beside the raw limit, about 12 minutes; writes docs/performance.md.
	go run ./test/bench -bin $(BIN) $(BENCHFLAGS)

# The packages with hot functions.
HOT := protocol engine firestore memory poke limit

.PHONY: bench-micro
bench-micro: ## Run the Go benchmarks of the hot functions.
	go test -run='^$$' -bench=. -benchmem $(GOTESTFLAGS) $(HOT:%=./%)

.PHONY: bench-compare
bench-compare: $(BENCHSTAT) ## Compare them with those of the revision BASE by benchstat, 5 minutes.
	.ci/benchcompare $(BENCHSTAT) $(BASE) $(HOT)

.PHONY: cover
cover: ## Measure what the Go tests cover; coverage.html shows it.
	$(WITH_EMULATOR) go test -coverpkg=./... -coverprofile=coverage.out -timeout=15m $(GOTESTFLAGS) ./...
	@go tool cover -html=coverage.out -o coverage.html
	@go tool cover -func=coverage.out | tail -n 1

.PHONY: cover-core
cover-core: ## Check what is covered of the packages that every promise rests on; 20 seconds.
	.ci/cover

.PHONY: fmt
fmt: $(GOLANGCI) ## Format the Go code.
	$(GOLANGCI) fmt

.PHONY: lint
lint: $(GOLANGCI) ## Look for mistakes and bad style in the Go code.
	go vet ./...
	$(GOLANGCI) config verify
	$(GOLANGCI) run

.PHONY: vuln
vuln: $(VULN) ## Look for known vulnerabilities in what is used.
	.ci/vulncheck $(VULN)

.PHONY: mod
mod: ## Check that go.mod and go.sum are tidy and true.
	go mod verify
	go mod tidy -diff

.PHONY: licences
licences: $(LICENCES) ## Check the licences of everything that ships against .ci/licences.json.
	.ci/licences $(LICENCES)

# The scripts that a person or CI runs; the page's and the tests' are Node's.
SCRIPTS := .ci/benchcompare .ci/cover .ci/fuzz .ci/licences .ci/parts .ci/run .ci/sbom .ci/soak .ci/vulncheck deploy/setup.sh deploy/testdata/gcloud

.PHONY: shell
shell: ## Look for mistakes in the shell scripts.
ifeq ($(shell command -v shellcheck),)
	@echo 'The shell scripts were NOT CHECKED: there is no shellcheck.'; test "$${CI:-}" != true
else
	shellcheck --severity=style $(SCRIPTS)
endif

##@ Building

.PHONY: page
page: ## Build the chat page, which goes into the binary. Without Node the page is missing.
ifeq ($(NPM),)
	@$(call without-npm,The steps that build the chat page)
else
	@$(MAKE) --no-print-directory $(PAGE)/dist/index.html
endif

CLIENT_SOURCES := $(shell git ls-files $(WEB_CLIENT)/src $(WEB_CLIENT)/package-lock.json 2>/dev/null)

# The page's package links to the helper package, which must be built before.
$(PAGE)/dist/index.html: $(CLIENT_SOURCES) $(shell git ls-files $(PAGE) 2>/dev/null) | $(WEB_CLIENT)/dist/index.js
	@$(MAKE) --no-print-directory $(PAGE)/node_modules/.package-lock.json
	cd $(PAGE) && npm run --silent build

$(WEB_CLIENT)/dist/index.js: $(CLIENT_SOURCES)
	@$(MAKE) --no-print-directory $(WEB_CLIENT)/node_modules/.package-lock.json
	cd $(WEB_CLIENT) && npm run --silent build

.PHONY: build
build: page ## Build bin/replifire, static, with the chat page in it.
	CGO_ENABLED=0 go build -trimpath -buildvcs=false \
	  -ldflags='-s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)' \
	  -o $(BIN) ./cmd/replifire

.PHONY: sbom
sbom: build $(SBOM) ## Write bin/sbom.json, what the binary is made of, as CycloneDX.
	.ci/sbom $(SBOM) $(BIN) $(or $(VERSION),0.0.0) bin/sbom.json

.PHONY: image
image: ## Build the container image replifire:VERSION.
	docker build --build-arg=VERSION=$(VERSION) --build-arg=COMMIT=$(COMMIT) --tag=replifire:$(VERSION) .

.PHONY: digests
digests: ## Print the digests of the images that the Dockerfile begins from.
	@sed -nE 's/^ARG (GO|RUN)_IMAGE=(.*)/\2/p' Dockerfile | while read -r image; do \
	  echo "$$image@$$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$$image")"; \
	done

.PHONY: tools
tools: $(GOLANGCI) $(VULN) $(LICENCES) $(SBOM) $(BENCHSTAT) ## Install the pinned tools into .bin.

$(GOLANGCI):
	GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	@mv $(TOOLS)/golangci-lint $@

$(VULN):
	GOBIN=$(TOOLS) go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)
	@mv $(TOOLS)/govulncheck $@

$(LICENCES):
	GOBIN=$(TOOLS) go install go.elastic.co/go-licence-detector@$(LICENCES_VERSION)
	@mv $(TOOLS)/go-licence-detector $@

$(SBOM):
	GOBIN=$(TOOLS) go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(SBOM_VERSION)
	@mv $(TOOLS)/cyclonedx-gomod $@

$(BENCHSTAT):
	GOBIN=$(TOOLS) go install golang.org/x/perf/cmd/benchstat@$(BENCHSTAT_VERSION)
	@mv $(TOOLS)/benchstat $@

.PHONY: clean
clean: ## Remove what was built, downloaded and measured.
	rm -rf .bin bin coverage.out coverage.html $(CLIENT)/node_modules
