# Everything is set up in .venv from python3 (3.11 or later) and a package index; nothing else is needed.
# More words for the tool behind a target go in ARGS: `make test ARGS="-k inbox"`, `make bench ARGS=--quick`.
# The tools of the groups `test` and `lint` in pyproject.toml need pip 25.1, so pip itself is brought up to date first.
# Tests wait for processes that they start, so there is one worker more than the two processors of most machines for CI.

PYTHON ?= python3
WORKERS ?= 3
BENCH ?= mail weave sprint dispatch stream history rolling foretell gates supervisor claims notify diagnostics wake console chat agent_mail cluster bases takeover

VENV := .venv
BIN := $(VENV)/bin
unexport PYTHONDONTWRITEBYTECODE # without bytecode every process that a test starts takes twice as long
READY := $(VENV)/.ready
AGENTS := .agents
POSTGRES := .postgres
VERSIONS ?= 15 16 17 18
ON_SERVER ?= $(addprefix tests/acceptance/test_,ask.py channels.py cleaning.py cli.py costs.py dispatch.py human.py outliving.py routing.py scheduler.py waiting_mail.py waking.py) $(addprefix tests/scheduler/,claims dispatch notify schedules sessions sprint supervisor) $(addprefix tests/team/,console test_claims.py test_notices.py test_sessions.py test_worker.py)
REMOTE := tests/mail/remote tests/contract tests/acceptance/test_on_server.py
STORM_SECONDS ?= 600
BROWSER := .browser
CHECKED := $(VENV)/checked/team_mail
TEST := $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal -m "not storm and not agents and not browser"

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

.PHONY: help
help: ## show this list
	@echo "team-mail: what to make"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: $(READY) ## run the tests, but for the storms; seven minutes on two cores
	@$(TEST) $(ARGS)

# Python 3.12 and later count lines without slowing them down: make coverage PYTHON=python3.13 VENV=.venv-3.13
.PHONY: coverage
coverage: $(READY) ## hold the line coverage: 95 % of mail/, 90 % of personas/ and scheduler/
	@COVERAGE_CORE=sysmon $(TEST) --cov=mail --cov=personas --cov=scheduler --cov-report=
	@for held in mail:95 personas:90 scheduler:90; do $(BIN)/python -m coverage report \
		--include="$${held%:*}/*" --skip-covered --show-missing --fail-under=$${held#*:} || exit 1; done

.PHONY: lint
lint: $(READY) $(CHECKED) ## check style, format and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/basedpyright
	@MYPYPATH=$(VENV)/checked $(BIN)/mypy tests/typing

.PHONY: demo
demo: $(READY) ## watch a team of 21 do the same work one after the other, then all at once; a minute
	@$(BIN)/team demo $(ARGS)
	@echo; echo "A team under a supervisor: $(BIN)/team demo --team orion"

.PHONY: bench
bench: $(READY) ## measure the promises beside their contenders (BENCH="mail weave sprint dispatch stream history rolling foretell gates supervisor claims notify diagnostics wake console chat agent_mail cluster bases takeover")
	@status=0; for bench in $(BENCH); do $(BIN)/python benchmarks/$$bench.py $(ARGS) || status=1; done; exit $$status

.PHONY: compare
compare: $(READY) ## measure beside another version (BEFORE=the .venv of its checkout)
	@$(BIN)/python benchmarks/compare.py $(BEFORE) $(ARGS)

.PHONY: storm
storm: $(READY) ## run the thousands of kills, power cuts and examples; minutes
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group storm
	@$(BIN)/python -m pytest -m "storm and not cluster" -s $(ARGS)
	@EXAMPLES=10 $(BIN)/python -m pytest -q -n $(WORKERS) -m "hypothesis and not storm and not agents and not browser" $(ARGS)

.PHONY: cluster-tests
cluster-tests: $(READY) ## run the tests of all commands again, with the log of each on PostgreSQL; needs that, and half an hour
	@$(TEST) --on-server $(ON_SERVER) $(ARGS)

.PHONY: cluster-versions
cluster-versions: $(READY) $(POSTGRES)/.ready ## run the tests of a log on a server over PostgreSQL 15 to 18; needs npm, 300 MB and minutes
	@status=0; for version in $(VERSIONS); do \
		path=$(CURDIR)/$(POSTGRES)/node_modules/postgres-$$version/native/bin; $$path/postgres --version; \
		PATH=$$path:$$PATH $(TEST) $(REMOTE) $(ARGS) || status=1; done; exit $$status

.PHONY: cluster-storm
cluster-storm: $(READY) ## three hosts in network namespaces, whose server, links and workers fail at random; needs root, ten minutes
	@STORM_SECONDS=$(STORM_SECONDS) $(BIN)/python -m pytest -m cluster -s tests/cluster $(ARGS)

.PHONY: agents
agents: $(READY) $(AGENTS)/.ready ## run real coding agents against a model on loopback; needs npm, 3 GB and minutes
	@$(BIN)/python -m pytest -m agents tests/agents $(ARGS)

.PHONY: browser
browser: $(READY) $(BROWSER)/.ready ## drive the console in a browser; needs npm, Debian's chromium, and minutes
	@$(BIN)/python -m pytest -m browser -s tests/browser $(ARGS)

.PHONY: pools
pools: $(READY) ## run the contract of runners over Dask as well; needs 35 MB more
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group pools
	@$(BIN)/python -m pytest -q tests/contract/test_pools.py $(ARGS)

.PHONY: sql
sql: $(READY) ## compile the projections to the SQL beside them
	@$(BIN)/python -m team_mail.mail.query.compile team_mail.mail.query.projections team_mail.scheduler.state.projections

.PHONY: man
man: $(READY) ## write the manual page, docs/team-mail.1
	@$(BIN)/python -m team_mail.mail.commands.manual > docs/team-mail.1.new || { rm -f docs/team-mail.1.new; exit 1; }
	@mv docs/team-mail.1.new docs/team-mail.1

.PHONY: picture
picture: $(READY) ## record the terminal picture of the README, docs/demo.svg
	@$(BIN)/python docs/record.py

.PHONY: clean
clean: ## remove .venv and all that tools left behind
	@rm -rf $(VENV) $(AGENTS) $(BROWSER) $(POSTGRES) build dist *.egg-info .coverage .coverage.* .hypothesis .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "clean"

$(READY): pyproject.toml constraints.txt
	@echo "setting up $(VENV) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt pip
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[acp,charts,cluster,console,mcp]" --group test --group lint
	@touch $@

$(AGENTS)/.ready: tests/agents/package.json
	@echo "setting up $(AGENTS) ..."
	@mkdir -p $(AGENTS)
	@cp $< $(AGENTS)/package.json
	@npm install --prefix $(AGENTS) --no-package-lock --no-audit --no-fund --loglevel=error
	@$(PYTHON) -m venv $(AGENTS)/aider
	@$(AGENTS)/aider/bin/python -m pip install --quiet --disable-pip-version-check aider-chat==0.86.2
	@touch $@

$(POSTGRES)/.ready: tests/cluster/package.json
	@echo "setting up $(POSTGRES) ..."
	@mkdir -p $(POSTGRES)
	@cp $< $(POSTGRES)/package.json
	@npm install --prefix $(POSTGRES) --no-package-lock --no-audit --no-fund --loglevel=error
	@touch $@

$(BROWSER)/.ready: tests/browser/package.json $(READY)
	@echo "setting up $(BROWSER) ..."
	@mkdir -p $(BROWSER)
	@cp $< $(BROWSER)/package.json
	@npm install --prefix $(BROWSER) --no-package-lock --no-audit --no-fund --loglevel=error
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group browser
	@touch $@

# The type checker finds `team_mail` by this name, whatever the folder of the checkout is called.
$(CHECKED): | $(READY)
	@mkdir -p $(@D)
	@ln -sfn ../.. $@
