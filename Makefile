# Everything a developer types. `make` alone lists it.
#
# One build profile (dev) serves lint, tests and the end-to-end tests, so that a clean checkout is
# built once; some dependencies are optimised in it (see Cargo.toml). `run` and `bench` build release.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
BUILT := $(or $(CARGO_TARGET_DIR),target)
# The relay is a workspace of its own; turn-proc/Cargo.toml says why.
RELAY := --manifest-path turn-proc/Cargo.toml --target-dir $(BUILT)
# So is what signs in by identity providers; supervisor/oidc/Cargo.toml says why.
OIDC := --manifest-path supervisor/oidc/Cargo.toml --target-dir $(BUILT)

.PHONY: help
help: ## list these targets
	@echo 'make TARGET, where TARGET is one of'
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

.PHONY: run
run: ## install what is missing, build, and show a demo desktop (ARGS="--app foot" for another app)
	@echo '==> run: installing what is missing'
	@tests/install.sh run
	@echo '==> run: building (release; a few minutes the first time)'
	@$(CARGO) build --release --locked --workspace --exclude lumen-tests --bins
	@$(CARGO) build --release --locked $(RELAY) --bins
	@echo '==> run: starting Lumen; open the address it prints in a browser, Ctrl-C ends it'
	@exec $(BUILT)/release/lumen run $(ARGS)

.PHONY: test
test: ## install what is missing, then lint, unit tests, web tests and end-to-end tests
	@echo '==> test: installing what is missing'
	@tests/install.sh test
	@tests/test.sh

.PHONY: test-fresh
test-fresh: ## install what is missing and try `make run` and `make test` in a bare Debian (SYSTEM=debian13 for another)
	@echo '==> test-fresh: installing what is missing'
	@tests/install.sh fresh
	@tests/fresh/run.sh

.PHONY: test-vm
test-vm: ## install what is missing and run the tests that need a kernel of their own, in a virtual machine
	@echo '==> test-vm: installing what is missing'
	@tests/install.sh vm
	@CARGO=$(CARGO) tests/vm/run.sh $(TESTS)

.PHONY: test-vm-long
test-vm-long: ## the same, with the tests that take long
	@echo '==> test-vm-long: installing what is missing'
	@tests/install.sh vm
	@CARGO=$(CARGO) tests/vm/run.sh --long

.PHONY: deb
deb: ## install what is missing, build release, and make lumen.deb of it, in target/
	@$(MAKE) --no-print-directory package KIND=deb

.PHONY: rpm
rpm: ## the same as lumen.rpm
	@$(MAKE) --no-print-directory package KIND=rpm

.PHONY: package
package:
	@echo '==> $(KIND): installing what is missing'
	@tests/install.sh $(KIND)
	@echo '==> $(KIND): building (release; a few minutes the first time)'
	@$(CARGO) build --release --locked --workspace --exclude lumen-tests --bins
	@$(CARGO) build --release --locked $(RELAY) --bins
	@$(CARGO) build --release --locked $(OIDC) --bins
	@systemd/package/build.sh $(KIND) $(BUILT)/release $(BUILT)/lumen.$(KIND)
	@ls -l $(BUILT)/lumen.$(KIND)

.PHONY: test-container
test-container: ## install what is missing, build a container image of lumen.deb without a daemon, and start a desktop in it
	@$(MAKE) --no-print-directory deb
	@tests/install.sh container
	@tests/container.sh $(BUILT)/lumen.deb

.PHONY: storm
storm: ## install what is missing and kill 300 workers at random (KILLS=N for another number; ten minutes)
	@echo '==> storm: installing what is missing'
	@tests/install.sh test
	@tests/storm.sh $(KILLS)

.PHONY: endurance
endurance: ## install what is missing and work for half an hour with losses and deaths, in which nothing may grow (ROUNDS=N)
	@echo '==> endurance: installing what is missing'
	@tests/install.sh test
	@tests/endurance.sh $(ROUNDS)

.PHONY: siege
siege: ## install what is missing and print an honest viewer's frame rate beside attacks (SECONDS_EACH=N; ten minutes)
	@echo '==> siege: installing what is missing'
	@tests/install.sh test
	@tests/siege.sh $(SECONDS_EACH)

.PHONY: sound
sound: ## install what is missing and listen to a tone over a bad line, and through twenty deaths (four minutes)
	@echo '==> sound: installing what is missing'
	@tests/install.sh test
	@tests/sound.sh

.PHONY: vm-shell
vm-shell: ## a root shell in that machine
	@tests/install.sh vm
	@CARGO=$(CARGO) tests/vm/run.sh --shell

.PHONY: tables
tables: ## write anew what each worker's filter lets through (tests/privsep/table), the manual's keys, and what packages install of the options
	@echo '==> tables: running the policy tests'
	@LUMEN_TEST_TABLES=write $(CARGO) test --quiet --locked --workspace --test '*policy' --test manual --test packaged
	@LUMEN_TEST_TABLES=write $(CARGO) test --quiet --locked $(RELAY) --test policy
	@LUMEN_TEST_TABLES=write $(CARGO) test --quiet --locked $(OIDC) --test policy
	@git diff --stat -- tests/privsep/table supervisor/man supervisor/completions systemd/lumen.toml

.PHONY: bench
bench: ## build release and print the measurements beside their targets
	@echo '==> bench: installing what is missing'
	@tests/install.sh test
	@tests/bench.sh

.PHONY: line
line: ## build release and print the picture over bad lines (ROWS=policed for some of them; ten minutes)
	@echo '==> line: installing what is missing'
	@tests/install.sh test
	@tests/bench.sh "line:$(ROWS)"

.PHONY: fuzz
fuzz: ## fuzz a decoder (TARGET=rtc/offer), a process (TARGET=rtc) or all, for SECONDS=60 each
	@tests/install.sh fuzz
	@tests/fuzz.sh $(or $(TARGET),all) $(or $(SECONDS),60)

.PHONY: lint
lint: ## check formatting, clippy, documentation, the web client, dependencies
	@tests/lint.sh

.PHONY: advisories
advisories: ## fetch what is known of our dependencies' flaws anew, for `make lint`
	@tests/deny.sh --renew

.PHONY: fmt
fmt: ## format the Rust code
	@echo '==> fmt: cargo fmt'
	@$(CARGO) fmt --all
	@$(CARGO) fmt --manifest-path turn-proc/Cargo.toml
	@$(CARGO) fmt --manifest-path supervisor/oidc/Cargo.toml
	@$(CARGO) fmt --manifest-path ipc/runtime/models/Cargo.toml
	@$(CARGO) fmt --manifest-path tests/fuzz/Cargo.toml

.PHONY: clean
clean: ## delete everything that was built
	@echo '==> clean: cargo clean, node_modules'
	@$(CARGO) clean
	@rm -rf web/node_modules tests/browser/node_modules supervisor/oidc/tests/provider/node_modules tests/.artifacts
