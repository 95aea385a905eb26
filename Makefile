# "make" or "make help" tells what there is. Each target is a go command or a step of .ci/run, which CI runs as a whole.

FUZZTIME ?= 10s

.DEFAULT_GOAL := help
.PHONY: help test race fuzz bench cover lint examples

help: ## tell what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

test: ## run the tests
	go test ./...

race: ## run the tests with the race detector, in random order
	.ci/run test

fuzz: ## run each fuzz target for FUZZTIME (10s)
	FUZZTIME=$(FUZZTIME) .ci/run fuzz

bench: ## run the benchmarks
	go test -run '^$$' -bench . ./...

cover: ## measure how much the tests cover; "go tool cover -html cover.out" shows where
	go test -coverpkg=./... -coverprofile=cover.out ./...
	go tool cover -func=cover.out | tail -n 1

lint: ## check form: gofmt, go vet, staticcheck, go.mod
	.ci/run lint

examples: ## run the examples
	.ci/run examples
