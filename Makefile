# Everything a person needs to run, test and change chatredirect. "make help" lists the targets.

# Debian's own interpreter: a pyenv or a home-made one is often out of a service user's reach.
PYTHON ?= /usr/bin/python3
VENV   ?= .venv
CONFIG ?= config/chatredirect.yaml
SECONDS ?= 60
MESSAGES ?= 10000000
BENCHFLAGS ?=
PYTESTFLAGS ?=
# Without the compiled codec: CHATREDIRECT_CODEC=python make test
# Processes that run tests; 0: this one alone. Most tests wait, so there may be more than cores.
WORKERS ?= 4
PYTEST := -m pytest -n '$(WORKERS)' --dist loadscope --no-loadscope-reorder $(PYTESTFLAGS)

# Where "make install" puts things: deploy/debian/install tells all of it.
PREFIX  ?= /opt/chatredirect
LOCAL   ?= /usr/local
DESTDIR ?=
WHEELS  ?=
EXTRAS  ?=

export VENV PYTHON PREFIX LOCAL DESTDIR WHEELS EXTRAS

# The shell's monitor mode (see "run") is bash's.
SHELL := /bin/bash

.PHONY: help run test boot install uninstall wheels deb image dist packages containers lint format bench several docs fuzz twins sanitize attack browser picture screenshots lock lowest clean-room clean FORCE
.DEFAULT_GOAL := help

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# At a terminal the daemon gets a process group of its own, so that Ctrl-C reaches the daemon and not make: then
# its own exit status is make's, 0 after a clean stop. Should make be killed, the daemon is told to stop too.
run: install-run ## Set up .venv and run the daemon in the foreground (CONFIG=FILE for another configuration)
	@if [ -t 0 ]; then set -m; fi; \
	setpriv --pdeathsig TERM $(VENV)/bin/chatredirect run --config '$(CONFIG)'; exit $$?

test: ## Set up what the tests need and run all tests (PYTESTFLAGS='-k name' for some, WORKERS=0, PYTHON=python3.13)
	@tests/setup/debian-packages
	@$(MAKE) --no-print-directory install-test
	@tests/setup/wheels
	@$(VENV)/bin/python $(PYTEST)

boot: ## As root: only the tests on a booted Debian, with the service installed in it, under load
	@tests/setup/debian-packages
	@$(MAKE) --no-print-directory install-test
	@tests/setup/wheels
	@$(VENV)/bin/python -m pytest $(PYTESTFLAGS) tests/installed/test_boot.py tests/installed/test_production.py

install: ## As root: install the service, from WHEELS=DIR if there is no network, with EXTRAS=postgresql; again, for an upgrade
	@deploy/debian/install

uninstall: ## As root: stop the service and take it away; /etc/chatredirect stays
	@deploy/debian/uninstall

wheels: ## Gather in WHEELS=DIR what "make install WHEELS=DIR" needs on a machine without a network
	@deploy/debian/wheels '$(or $(WHEELS),$(error WHEELS=DIR says where to put them))'

deb: ## Build a Debian package of this tree into dist/, for this machine's release and processor; lintian judges it
	@deploy/debian/deb dist

image: ## Build an OCI image of this tree with buildah, IMAGE=NAME (localhost/chatredirect:VERSION), and tell its size
	@deploy/image $(IMAGE)

dist: install-test ## Make a release in dist/: sdist, wheel, list of parts (CycloneDX), checksums; the version is the tag's
	@PYTHON=$(VENV)/bin/python deploy/dist dist

packages: install-test ## As root: build, install, upgrade, remove and purge the package in SUITES="bookworm trixie" of their own
	@tests/setup/debian-packages
	@tests/setup/packages $(or $(SUITES),bookworm trixie)

containers: ## As root: only the tests of the image, with podman on loopback, and of deploy/kubernetes
	@tests/setup/debian-packages
	@$(MAKE) --no-print-directory install-test
	@tests/setup/wheels
	@$(VENV)/bin/python -m pytest $(PYTESTFLAGS) tests/installed/test_image.py tests/installed/test_kubernetes.py tests/installed/test_pod.py

# mypy reads no tests: a name that a test imports and nobody has is found by pytest, which imports them all.
lint: install-test ## Check style and types: ruff check, ruff format, mypy --strict; and that every test can be imported
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy --strict -p chatredirect
	@found=$$($(VENV)/bin/python -m pytest --collect-only -qqq) || { echo "$$found"; exit 1; }

format: install-test ## Put the code into the project's format
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

# The load programs are C: what they cost themselves must not hide what is measured.
bench: ## Measure CPU per request, beside Kamailio (BENCHFLAGS=--help tells more)
	@tests/setup/debian-packages
	@$(MAKE) --no-print-directory install-test
	$(VENV)/bin/python -m benchmarks $(BENCHFLAGS)

# Everything anew: Sphinx warns only of the pages that it reads.
docs: install-test ## Build the documentation site in build/docs, and check its links
	@rm -rf build/docs
	$(VENV)/bin/python -m sphinx -q -E -W --keep-going -c docs/site -d .cache/docs . build/docs
	@echo 'docs: build/docs/index.html'

several: install-test ## As root: kill, drain, cut off and upgrade one of two instances behind each front end, and more; some 20 minutes
	@tests/setup/debian-packages
	$(VENV)/bin/python -m benchmarks.several $(BENCHFLAGS)

fuzz: install-test ## Feed the SIP layer mutated messages for SECONDS=60; shows executions and coverage
	$(VENV)/bin/python -m tests.fuzz --seconds $(SECONDS) --report

twins: install-test ## Hold the compiled codec against its twin in Python for MESSAGES=10000000 messages
	$(VENV)/bin/python -m tests.fuzz.twins --messages $(MESSAGES)

sanitize: install-test ## Feed the compiled codec mutated messages for SECONDS=60, with AddressSanitizer and UBSan
	$(VENV)/bin/python -m tests.codec.sanitize --seconds $(SECONDS)

attack: install-test ## Attack the daemon as docs/security.md has it, some minutes; shows a table of figures (ATTACKED=… for another version)
	@ATTACK=long $(VENV)/bin/python -m pytest $(PYTESTFLAGS) tests/attack

browser: install-test ## Open every view of the page in Chromium, of a daemon with real traffic ("make test" has one short case)
	@tests/setup/debian-packages
	@BROWSER=all $(VENV)/bin/python -m pytest $(PYTESTFLAGS) tests/page

picture: install-test ## Record docs/first-minute.svg, the README's picture, from a real run (port 5060)
	@$(VENV)/bin/python -m tests.installed.picture

screenshots: install-test ## Take docs/page-*.png, the pictures of the page, with Chromium and a demonstration ledger
	@tests/setup/debian-packages
	@$(VENV)/bin/python -m tests.page.screenshots

lock: ## Write the lock files anew, with the newest versions
	@tests/setup/lock

lowest: ## Run the tests with the lowest versions that pyproject.toml allows, in a venv of their own
	@tests/setup/debian-packages
	@VENV=.cache/venv-lowest tests/setup/venv '$(PYTHON)' tests/requirements-lowest.lock
	@VENV=.cache/venv-lowest tests/setup/wheels
	@.cache/venv-lowest/bin/python $(PYTEST)

clean-room: ## As root: make run and make test in a fresh Debian 12 (SUITE=trixie: 13), from a fresh clone of HEAD
	@tests/setup/clean-room

clean: ## Remove what the targets made, caches included
	rm -rf $(VENV) .cache build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# Quick when there is nothing to do: the script compares a stamp.
install-run: FORCE
	@tests/setup/venv '$(PYTHON)' requirements.lock

install-test: FORCE
	@tests/setup/venv '$(PYTHON)' tests/requirements.lock

FORCE:
