# Every target works alone from a fresh clone: it installs and builds what it needs, and keeps it for the next time.
.DEFAULT_GOAL := help
.PHONY: help demo install run test check unit integration e2e fuzz faults soak coverage bench bench-scale lint style types imports scripts generated docs recording dashboard generate verify lock pin check-pins sbom release rehearse-release cluster-up cluster-down controlplane clean

python := .venv/bin/python
# Output of what runs side by side, one target after the other; make 3.81, as macOS has it, mixes it.
by_target := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
# A file stays on one worker, and with it what its tests share.
in_parallel := --numprocesses=auto --dist=loadfile
# Of two cores: tests on the cluster wait more than they compute, and many at once make its node too slow for deadlines.
E2E_WORKERS ?= 4
# What `make fuzz` generates, and from which seed: a failure is seen again with the seed that it prints.
FUZZ_SPECS ?= 20000
FUZZ_PODS ?= 5000
FUZZ_SEED := $(or $(FUZZ_SEED),$(shell date +%s))
# How long each fault of `make faults` lasts, in seconds, and how many builders are made meanwhile.
FAULT_SECONDS ?= 90
FAULT_BUILDERS ?= 200
# How long `make soak` builds and disturbs.
SOAK_MINUTES ?= 60
# How many builders `make bench-scale` makes, one size after the other; for how many seconds it watches them at rest, and
# how many labelled pods come and go.
SCALE ?= 100 1000 3000 10000
SCALE_REST ?= 600
SCALE_PODS ?= 10000

##@ Start here
demo: venv ## A cluster, the operator, and real builds through a shared builder; leaves the cluster up
	@$(python) -m hack.demo

install: venv ## The operator of this checkout into the cluster of your current context: kind, k3d, minikube; others by IMAGE=registry/name:tag
	@$(python) -m hack.install

run: venv ## The operator of this checkout against the current context of your kubeconfig, until Ctrl-C
	@$(python) -m hack.run

test: check integration e2e ## All tests: checks, unit, a real API server, real builds on a real cluster

##@ Tests, one by one
check: lint unit ## The inner loop: everything that needs no API server, in two minutes

unit: venv ## Pure functions and the daemons' scripts
	@$(python) -m pytest tests/unit tests/scripts --numprocesses=auto

integration: venv programs ## The operator against a real API server, without pods
	@$(python) -m pytest tests/integration $(in_parallel)

e2e: venv ## Builds and pushes on a kind cluster; takes the cluster down again if it was not up before
	@$(python) -m pytest tests/e2e --numprocesses=$(E2E_WORKERS)

fuzz: venv programs ## Hostile specs and pods by the thousand, through API server, engines and real tools; FUZZ_SEED=… for the same again
	@echo "FUZZ_SEED=$(FUZZ_SEED) FUZZ_SPECS=$(FUZZ_SPECS) FUZZ_PODS=$(FUZZ_PODS)"
	@FUZZ_SEED=$(FUZZ_SEED) FUZZ_SPECS=$(FUZZ_SPECS) FUZZ_PODS=$(FUZZ_PODS) $(python) -m pytest tests -m fuzz --capture=no

faults: venv programs ## Every fault between operator and API server for FAULT_SECONDS, with FAULT_BUILDERS builders; prints figures
	@FAULTS=all FAULT_SECONDS=$(FAULT_SECONDS) FAULT_BUILDERS=$(FAULT_BUILDERS) \
	  $(python) -m pytest tests/integration/builders/test_faults.py --capture=no

soak: venv ## Builds in both modes for SOAK_MINUTES, with everything around them disturbed at the same time; prints what was lost
	@$(python) -m hack.bench soak --minutes $(SOAK_MINUTES)

coverage: venv programs ## Unit and integration tests, and which lines of the operator they ran
	@hack/coverage.sh $(in_parallel)

bench: venv ## Figures: how fast, how much memory, how many writes
	@$(python) -m hack.bench

bench-scale: venv programs ## The operator with SCALE builders, beside a bare client; hours with all sizes, minutes with SCALE=100
	@$(python) -m hack.cluster.artifacts kwok files:kwok >/dev/null
	@$(python) -m hack.bench scale --sizes $(SCALE) --rest $(SCALE_REST) --pods $(SCALE_PODS)

lint: venv ## Style, types, one-way imports, shell scripts, the docs' links, and that generated files are fresh
	@$(MAKE) --no-print-directory --jobs=2 $(by_target) types style imports scripts generated

style: venv
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .

types: venv
	@.venv/bin/mypy

imports: venv
	@.venv/bin/lint-imports

scripts: venv
	@git ls-files -z '*.sh' .ci/run hack/cluster/runc-bounded deploy/krew/kubectl-buildkit | xargs -0 .venv/bin/shellcheck
	@.venv/bin/zizmor --quiet --offline .github

# One after the other: the site shows what is generated.
generated: verify
	@$(MAKE) --no-print-directory docs

docs: venv ## The site of docs/, in dist/site; fails where a link leads nowhere
	@$(python) -m properdocs build --config-file docs/site/properdocs.yml

##@ Pictures of the documentation
recording: venv ## Run the demo and record it: docs/demo.cast, and docs/demo.svg of it
	@$(python) -m hack.pictures.recording

dashboard: venv ## Scrape a cluster that builds, and draw docs/dashboard.svg; a quarter of an hour
	@$(python) -m hack.pictures.dashboard $(python) -m hack.bench bound

##@ Generated files
generate: venv ## Write the CRD from the models, both engines from the rules of injection, RBAC, and from these the rest
	@$(python) -m hack.generate

verify: generate ## Generate again and fail if anything differs from what is checked in
	@git diff --exit-code -- README.md crds deploy docs hack/generate operator/buildkit_operator/api/published.py || { echo "Run make generate and commit what it writes." >&2; exit 1; }

lock: venv ## Lock the Python packages to the newest versions that pyproject.toml allows
	@hack/lock.sh --upgrade

pin: venv ## Write the digests of the images that pods run, and of our image's base, as their registries have them now
	@$(python) -m hack.image_pins write

check-pins: venv ## Fail where an image has no digest, or its tag another one in its registry
	@$(python) -m hack.image_pins check

sbom: venv ## Write the list of the image's Python packages into dist/sbom.cdx.json, for who looks for known vulnerabilities
	@mkdir -p dist && .venv/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --of JSON \
	  -o dist/sbom.cdx.json deploy/requirements.lock

release: venv ## Write what a release consists of into dist/release (TAG=v…: refuse another version)
	@HELM="$$($(python) -m hack.cluster.artifacts helm)/helm" deploy/release.sh $(TAG)

rehearse-release: venv ## A whole release against a local registry and a local Git remote: two architectures, chart, signatures; verified and installed
	@$(python) -m hack.release

##@ The cluster
cluster-up: venv ## A kind cluster with a registry (CLUSTER=current: the one of your kubeconfig)
	@$(python) -m hack.cluster up

controlplane: venv ## An API server without pods, with the CRDs, until Ctrl-C; prints its kubeconfig
	@$(python) -m hack.cluster.controlplane

cluster-down: venv ## Remove it without a trace
	@$(python) -m hack.cluster down

clean: cluster-down ## Remove the cluster and everything this project made in the checkout; the cache stays
	@rm -rf .venv .cluster dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

##@ Help
help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv:
	@hack/venv.sh
.PHONY: venv

# With progress shown: pytest's workers would build them in silence.
programs: venv
	@$(python) -m hack.cluster.controlplane --build-only
	@$(python) -m hack.cluster.artifacts gitops-health helm-release flux buildkitd-config >/dev/null
.PHONY: programs
