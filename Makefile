# What people run. Everything behind it is `python -m rehearsal`; `make help` lists the targets.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help up down status preview claims rehearse-aws model-facts env toolchain calibrate rehearse test test-fast lint format bench setup

# CI runners and services have no HOME.
export HOME ?= $(shell getent passwd "$$(id -u)" | cut -d: -f6)
export STACK ?= local
export CLUSTER ?= embedded
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/inference
# uv from the cache where none is installed; an installed one goes first.
export PATH := $(PATH):$(CACHE)/uv/bin
# Compiled modules go beside uv, not into the checkout.
export PYTHONPYCACHEPREFIX := $(CACHE)/bytecode
export PYTHONDONTWRITEBYTECODE :=
PYTHON := .venv/bin/python
# Tests by files, in several processes. Two of them have a cluster first, which mostly waits.
FILES := --dist loadfile --no-loadscope-reorder
# What `make rehearse` alone needs is half an hour of a first build.
TESTED := traefik lws

setup:
	@rehearsal/bootstrap

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {gsub(/\$$\$$/, "$$", $$2); printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: setup ## Toolchain, cluster, pulumi up, one streamed answer. CLUSTER=existing: your own cluster; ENGINE=vllm: the real one
	@$(PYTHON) -m rehearsal up

down: setup ## Remove everything that `make up` started
	@$(PYTHON) -m rehearsal down

status: setup ## What runs
	@$(PYTHON) -m rehearsal status

preview: setup ## Preview a stack's changes, changing nothing: make preview STACK=dev; POLICY=none: without the pack
	@$(PYTHON) -m rehearsal preview

# dev, unless STACK is given: local is no stack on AWS.
rehearse-aws: setup ## An AWS stack's whole life without an account, against moto: make rehearse-aws STACK=prod
	@STACK=$(if $(filter file,$(origin STACK)),dev,$(STACK)) $(PYTHON) -m rehearsal rehearse-aws

claims: setup ## What a stack's preview claims, with the arithmetic, in a second: make claims STACK=prod CLAIMS=--all
	@$(PYTHON) -m claims --stack $(STACK) $(CLAIMS)

model-facts: setup ## List a model's files: the size of its volume follows: make model-facts STACK=dev MODEL=chat
	@$(PYTHON) -m rehearsal model-facts

env: setup ## What plain pulumi and kubectl need: eval "$$(make -s env)"
	@$(PYTHON) -m rehearsal env

toolchain: setup ## Build ahead all that `make up` builds once
	@$(PYTHON) -m rehearsal toolchain

rehearse: setup ## Rollouts and faults of four replicas under thousands of streams, on a cluster of its own
	@$(PYTHON) -m rehearsal toolchain
	@$(PYTHON) -m pytest -m "rehearse or scaling" tests/cluster

test: setup lint ## Everything that CI runs, on embedded clusters of its own; the real vLLM and Ollama too, where they are installed
	@$(PYTHON) -m rehearsal toolchain $(TESTED)
	@$(PYTHON) -m pytest --numprocesses 3 $(FILES)
	@! [ -e "$(CACHE)/vllm/installed.json" ] || $(PYTHON) -m pytest -m vllm tests/simulator
	@! [ -e "$(CACHE)/ollama/ollama" ] || $(PYTHON) -m pytest -m ollama tests/ollama

calibrate: setup ## Ask the simulator and the real vLLM the same, and the real Ollama its own; gets both for the CPU, once (6 GiB, 10 min)
	@$(PYTHON) -m rehearsal vllm
	@$(PYTHON) -m pytest -m "vllm or not vllm" tests/simulator/test_engine_contract.py tests/simulator/test_against_vllm.py \
		tests/components/test_dashboard_live.py
	@$(PYTHON) -m rehearsal ollama
	@$(PYTHON) -m pytest -m ollama tests/ollama

test-fast: setup ## The tests that need no cluster
	@$(PYTHON) -m pytest --numprocesses 2 $(FILES) -m "not cluster and not engine and not vllm and not ollama"

lint: setup ## Ruff and mypy, strict
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check --quiet .
	@$(PYTHON) -m mypy

format: setup ## Format the code and mend what can be mended
	@$(PYTHON) -m ruff check --fix --quiet .
	@$(PYTHON) -m ruff format --quiet .

bench: setup ## Speed and size of the running stack, as ratios; make bench BENCH=--cold: from nothing
	@$(PYTHON) -m rehearsal bench $(BENCH)
