# The verbs of this repository; `make help` lists them.

# Build output and tools live outside the checkout, so that a fresh clone finds what an earlier one built.
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/fairway
export CARGO_TARGET_DIR ?= $(CACHE)/target
# The folder of recorded cases that lies beside the checkout.
export SHARED ?= $(abspath ../shared)

BIN := $(CARGO_TARGET_DIR)/debug/fairway
CADDY ?= $(CACHE)/bin/caddy
CADDY_VERSION := v2.11.4

.PHONY: help build test lint fixtures record

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the program
	cargo build -p fairway
	@echo "$(BIN)"

test: ## run every test; layers: make test LAYERS="unit adapt"
	@tests/run $(LAYERS)

lint: ## check formatting, lints, and the edges between the crates
	@tests/run lint

fixtures: build ## run the program over the cases of ../shared with their own runners
	-python3 "$(SHARED)/fixtures/adapt_fixtures.py" "$(BIN)" "$(SHARED)/fixtures/caddyfile_adapt"
	-python3 "$(SHARED)/fixtures/behaviour/behave.py" check --server "$(BIN)"

record: $(CADDY) ## write the expectations of our own cases anew from real Caddy
	FAIRWAY_RECORD="$(CADDY)" cargo test --quiet -p fairway-tests --test adapt
	FAIRWAY_RECORD="$(CADDY)" cargo test --quiet -p fairway-tests --test serve

# Only recording needs it, and with it Go.
$(CADDY):
	GOBIN="$(dir $(CADDY))" go install github.com/caddyserver/caddy/v2/cmd/caddy@$(CADDY_VERSION)
