# The commands of this repository. Everything is built by CMake into build/<preset>/; this file installs
# what is missing (tools/deps) and calls it.

PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60
SOAK_MINUTES ?= 60
export JOBS FUZZ_SECONDS SOAK_MINUTES

.PHONY: all demo check bench asan tsan fuzz aarch64 soak lint install deps clean help

# Building needs packages and the guest libraries only; the programs that tests and the demo run come with `deps`.
all:
	@tools/deps packages sysroot
	@tools/build release

demo: deps all
	@examples/demo

check:
	@tools/check

bench: deps all
	@bench/run

asan tsan: deps
	@tools/build $@
	@tools/test $@

aarch64:
	@tools/deps packages
	@tools/build $@

fuzz:
	@tools/deps packages
	@tools/build release
	@tools/build fuzz
	@tools/fuzz

soak: deps all
	@tools/soak

lint: all
	@tools/lint

install: all
	@cmake --install build/release --prefix "$(PREFIX)"

deps:
	@tools/deps

clean:
	rm -rf build

help:
	@echo "make            build the release preset: programs in build/release/bin"
	@echo "make demo       compile real programs and run them as cells"
	@echo "make check      every test: release, asan + ubsan, tsan, aarch64, lint"
	@echo "make bench      measure, print tables, write JSON"
	@echo "make asan|tsan  build and test with that sanitizer"
	@echo "make fuzz       run each fuzz target for FUZZ_SECONDS=$(FUZZ_SECONDS)"
	@echo "make aarch64    cross-build for aarch64 (make check also tests it, under qemu-user)"
	@echo "make soak       differential fuzzers and repeated tests for SOAK_MINUTES=$(SOAK_MINUTES)"
	@echo "make lint       format, banned calls, layers, sizes, what programs link"
	@echo "make install    copy programs, manual pages and guest sysroot to PREFIX=$(PREFIX)"
	@echo "make deps       fetch and build what is missing for tests and the demo"
	@echo "make clean      remove build/"
