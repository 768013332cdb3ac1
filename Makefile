# make demo | test | setup | lint | bench | soak | messages. All are safe to run again; the second run is quick.
PYTHON ?= python3
BIN := .venv/bin
SERVE ?= yes
RESET ?= no
# xdist workers: the tests wait on servers more than they compute
TEST_WORKERS ?= 3
BENCHMARKS ?= render dispatch segments refresh imports

.PHONY: setup demo test lint bench soak messages lock clean

setup:
	@PYTHON="$(PYTHON)" sh scripts/setup.sh

demo: setup
	@SERVE="$(SERVE)" RESET="$(RESET)" $(BIN)/python -m demo

test: setup lint
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal $(TESTS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m runtime.migrate

bench: setup
	@status=0; for name in $(BENCHMARKS); do $(BIN)/python -m bench.$$name || status=1; done; exit $$status

soak: setup
	HEARTH_SOAK=1 $(BIN)/python -m pytest -n 1 tests/acceptance tests/campaigns/sending/test_fairness.py tests/channels/test_tls.py
	HEARTH_SOAK=1 $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal tests/segments tests/channels/returns

messages: setup
	$(BIN)/python -m web.translations

lock:
	uv pip compile -q pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -o requirements.lock
	npm install --package-lock-only --ignore-scripts --no-audit --no-fund

clean:
	rm -rf .venv node_modules web/static/vendor var
