# Proa: build it, run it, test it. `make help` lists what there is.

GO      ?= go
BIN     := bin/proa
DATA    ?= $(shell if [ "$$(id -u)" = 0 ]; then echo /var/lib/proa; else echo "$${XDG_DATA_HOME:-$$HOME/.local/share}/proa"; fi)
PORT    ?= 6443
FLAGS   ?=
FUZZ    ?= 30s
ROUNDS  ?= 3
SOAK    ?= 2000
ROWS    ?=
OUT     ?=
export CGO_ENABLED ?= 0
# The embedded kubectl tells this version.
KUBE    := k8s.io/component-base/version
LDFLAGS := -s -w -X $(KUBE).gitVersion=v1.36.3 -X $(KUBE).gitMajor=1 -X $(KUBE).gitMinor=36 -X $(KUBE).gitTreeState=clean

.DEFAULT_GOAL := help
.PHONY: help build up down test check unit race e2e clients etcd peer twin bench bench-peer bench-growth fuzz soak clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/proa
	@mkdir -p bin
	$(GO) build -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/proa

up: build ## start a control plane in the background (PORT=6443 DATA=dir FLAGS='--nodes 3')
	@scripts/up $(BIN) $(DATA) $(PORT) $(FLAGS)

down: ## stop the one that `make up` started
	@scripts/down $(DATA)

test: check unit race e2e twin etcd clients ## everything that must pass

check: ## formatting, vet and the rules of the house
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "gofmt -w these:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...

unit: ## unit tests: the inner loop
	$(GO) test ./internal/... ./cmd/... ./proatest ./test/ports .
	cd test/bench && $(GO) test ./...

race: ## the tests of what is concurrent, under the race detector
	CGO_ENABLED=1 $(GO) test -race -timeout 30m ./internal/cache/... ./internal/informer/... ./internal/store/... ./internal/client/... ./internal/http2

e2e: build ## the built binary and kubectl as a user drives them
	$(GO) test ./test/e2e/...

clients: build ## clients that others wrote, against the built binary
	test/clients/fetch
	cd test/clients && PROA="$(abspath $(BIN))" $(GO) test -count=1 ./...

twin: build ## Proa's answers beside those of kube-apiserver (RECORD=1 asks a live one again, DOCUMENT=1 lists the differences)
	@if [ -n "$(RECORD)" ]; then $(MAKE) -C test/peer api; fi
	@if [ -n "$(DOCUMENT)" ]; then cd test/twin && $(GO) test -count=1 -run TestDifferences . -args -document; fi
	cd test/twin && $(GO) test -count=1 -parallel 4 . $(if $(RECORD),-run TestRecord -args -record,)

etcd: ## the store over a real etcd, several servers, moving in and out (the last needs `make peer`)
	cd test/etcd && $(GO) vet . && $(GO) test .

peer: ## build Kubernetes, etcd, kwok and kine into .tools, to compare with (needs a C compiler)
	$(MAKE) -C test/peer

bench: ## micro-benchmarks, for benchstat
	$(GO) test -run '^$$' -bench . -benchmem ./internal/...

bench-peer: build ## Proa beside Kubernetes (ROUNDS=3 ROWS=regexp; OUT=docs/performance renews the docs)
	@$(BENCH) -rounds $(ROUNDS)

bench-growth: build ## how cost grows on both sides (ROWS=objects|watchers|namespaces|nodes; OUT=docs/growth)
	@$(BENCH) -growth -rounds 1

BENCH = cd test/bench && $(GO) run . -proa "$(abspath $(BIN))" -tools "$(abspath .tools)" -rows '$(ROWS)' \
	$(if $(OUT),-out "$(abspath $(OUT))" -doc "$(abspath docs/PERFORMANCE.md)")

fuzz: ## every fuzzer for FUZZ=30s
	@scripts/fuzz $(FUZZ)

soak: ## power cuts, kills, faults, damage and restarts of the store, each SOAK=2000 times
	PROA_STORE_ROUNDS=$(SOAK) $(GO) test -count=1 -timeout 5h -run 'Crash|Kill|Failed|Damage|Past|Replay' -v ./internal/store/embedded

clean: ## remove what was built
	rm -rf bin
