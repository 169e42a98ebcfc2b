# The verbs of this repository; `make help` lists them.

# Build output and tools live outside the checkout, so that a fresh clone finds what an earlier one built.
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/fairway
export CARGO_TARGET_DIR ?= $(CACHE)/target
# The folder of recorded cases that lies beside the checkout.
export SHARED ?= $(abspath ../shared)

BIN := $(CARGO_TARGET_DIR)/debug/fairway
CADDY ?= $(CACHE)/bin/caddy
CADDY_VERSION := v2.11.4
ROUNDS ?= 12
MINUTES ?= 10
TEXTS ?= 20000
SEED ?= $(shell date +%s)

.PHONY: help build image demo test test-node test-caddy lint ledger ledger-cluster fixtures deny record bench bench-adapt fuzz

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the program
	cargo build --workspace --bins
	@echo "$(BIN)"

image: ## build the container image, which needs no container builder; its name: make image NAME=HOST/NAME:TAG
	@image/build "$(CARGO_TARGET_DIR)/fairway.tar" $(NAME)

demo: ## build, and show the shop of examples/shop: served, changed under load, broken, repaired
	@echo "Building; the first time takes some minutes."
	@cargo build --quiet --workspace --bins
	@"$(CARGO_TARGET_DIR)/debug/demo"

test: ## run every test; layers: make test LAYERS="unit adapt"
	@tests/run $(LAYERS)

test-node: ## take the whole way on a real node, with the image and the chart; as root
	@image/build "$(CARGO_TARGET_DIR)/fairway-node.tar" fairway.test/fairway:test
	@FAIRWAY_IMAGE="$(CARGO_TARGET_DIR)/fairway-node.tar" tests/run node

test-caddy: ## hold 20,000 Caddyfiles made by chance against the real adapter; others: make test-caddy TEXTS=100000 SEED=7
	FAIRWAY_REQUIRE=all FAIRWAY_TEXTS="$(TEXTS)" FAIRWAY_SEED="$(SEED)" cargo test --quiet --workspace --test differential

lint: ## check formatting, lints, and the edges between the crates
	@tests/run lint

ledger: ## change a config of 5,000 sites 500 times in a minute of load, and account for every request
	cargo build --release --bin fairway
	ulimit -n 8192; FAIRWAY_BIN="$(CARGO_TARGET_DIR)/release/fairway" FAIRWAY_LEDGER_SECONDS=60 FAIRWAY_LEDGER_RATE=1000 \
	FAIRWAY_LEDGER_CHANGES=500 FAIRWAY_LEDGER_SITES=5000 cargo test --release --workspace --test swap -- --nocapture

ledger-cluster: ## change 500 sites 500 times through a real API server under load, and account for every request
	tests/cluster/build
	cargo build --release --bin fairway
	ulimit -n 8192; FAIRWAY_BIN="$(CARGO_TARGET_DIR)/release/fairway" FAIRWAY_LEDGER_RATE=1000 FAIRWAY_LEDGER_CHANGES=500 \
	FAIRWAY_LEDGER_SITES=500 cargo test --release --workspace --test cluster_endure swap:: -- --nocapture

fixtures: build ## run the program over the cases of ../shared with their own runners
	@test -d "$(SHARED)/fixtures" || { echo "no recorded cases at $(SHARED): set SHARED"; exit 1; }
	@status=0; \
	python3 "$(SHARED)/fixtures/adapt_fixtures.py" "$(BIN)" "$(SHARED)/fixtures/caddyfile_adapt" || status=1; \
	python3 "$(SHARED)/fixtures/behaviour/behave.py" check --server "$(BIN)" || status=1; \
	exit $$status

deny: $(CACHE)/bin/cargo-deny ## check licenses, banned and doubled crates, and where crates come from
	"$(CACHE)/bin/cargo-deny" check bans licenses sources

bench: ## compare with nginx and HAProxy on one core; rounds: make bench ROUNDS=24
	@tests/bench/run
	cargo build --release --package fairway --bin fairway
	@tests/bench/run --rounds $(ROUNDS) "$(CARGO_TARGET_DIR)/release/fairway"
	@tests/bench/adapt "$(CARGO_TARGET_DIR)/release/fairway" $(wildcard $(CADDY))

bench-adapt: $(CADDY) ## compare what adapting thousands of sites costs with real Caddy
	cargo build --release --package fairway --bin fairway
	@tests/bench/adapt "$(CARGO_TARGET_DIR)/release/fairway" "$(CADDY)"

fuzz: ## fuzz every target for ten minutes: make fuzz MINUTES=1 TARGETS="lexer json"
	@fuzz/run --minutes $(MINUTES) $(TARGETS)

record: $(CADDY) ## write the expectations of our own cases anew from real Caddy
	FAIRWAY_RECORD="$(CADDY)" cargo test --quiet --workspace --test adapt
	FAIRWAY_RECORD="$(CADDY)" cargo test --quiet --workspace --test serve

$(CACHE)/bin/cargo-deny:
	cargo install --locked --root "$(CACHE)" --version 0.20.2 cargo-deny

# Only recording needs it, and with it Go.
$(CADDY):
	GOBIN="$(dir $(CADDY))" go install github.com/caddyserver/caddy/v2/cmd/caddy@$(CADDY_VERSION)
