# chatd - one Makefile, no recursion.
#
#   make            build/chatd and build/chatctl
#   make check      the house rules: layers, headers, warnings, format, size
#   make test       unit and system tests (installs what they need)
#   make demo       a daemon on 127.0.0.1:3002 in the foreground
#   make bench      ratios against a floor, measured in the same run
#   make conformance  a server for the suites of the protocols
#   make torture    the long runs
#   BUILD=release|debug|asan|tsan|fault, CC=gcc|clang, V=1 shows the commands

BUILD ?= release
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
VERSION := 0.1.0

ifeq ($(BUILD),release)
O := build
OPT := -O2 -g
else ifeq ($(BUILD),debug)
O := build-debug
OPT := -O0 -g
else ifeq ($(BUILD),asan)
O := build-asan
OPT := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined -DCHATD_SANITIZED
LDSAN := -fsanitize=address,undefined
else ifeq ($(BUILD),tsan)
O := build-tsan
OPT := -O1 -g -fno-omit-frame-pointer -fsanitize=thread -DCHATD_SANITIZED
LDSAN := -fsanitize=thread
else ifeq ($(BUILD),fault)
# the steps at which a test may kill (common/fault.h)
O := build-fault
OPT := -O1 -g -DCHATD_FAULTS
else
$(error BUILD is release, debug, asan, tsan or fault)
endif
O := $(O)$(if $(filter clang,$(CC)),-clang)

PKGS := libevent_core libcjson libbsd-overlay lmdb libxxhash libseccomp \
	libcrypto libssl libcurl jose jansson zlib libpcre2-8 gumbo
# found later than the packages are installed: only what compiles needs it
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS))
PKG_LIBS = $(shell pkg-config --libs $(PKGS))

WARN := -Wall -Wextra -Wshadow -Wpointer-arith -Wcast-qual -Wwrite-strings \
	-Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wundef -Wvla \
	-Wno-unused-parameter -Werror
CFLAGS ?=
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -I. -I$(O) $(OPT) $(WARN) \
	-DCHATD_VERSION='"$(VERSION)"' $(PKG_CFLAGS) $(CFLAGS)
LDLIBS = $(LDSAN) $(PKG_LIBS) -lm -pthread

# A program is a list of objects drawn from one pool.
LIB_DIRS := common shm proto store chat
LIB_SRC := $(foreach d,$(LIB_DIRS),$(sort $(wildcard $(d)/*.c)))
CHATD_SRC := $(sort $(wildcard master/*.c worker/*.c scribe/*.c \
	clerk/*.c bridge/*.c))
CTL_SRC := $(sort $(wildcard chatctl/*.c))
UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))

# one short line a file, or with V=1 the whole command
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-4s %s\n' $(1) $(2))

obj = $(patsubst %.c,$(O)/obj/%.o,$(1))
LIB_OBJ := $(call obj,$(LIB_SRC))
ALL_OBJ := $(LIB_OBJ) $(call obj,$(CHATD_SRC) $(CTL_SRC) $(UNIT_SRC))
UNIT_BIN := $(patsubst tests/unit/%.c,$(O)/unit/%,$(UNIT_SRC))

.DEFAULT_GOAL := all
.PHONY: all clean check unit
.DELETE_ON_ERROR:
# objects are kept, whoever wanted them
.SECONDARY:

all: $(O)/chatd $(O)/chatctl

$(O)/libchatd.a: $(LIB_OBJ)
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR,$@)
	$(Q)ar rcs $@ $^

$(O)/chatd: $(call obj,$(CHATD_SRC)) $(O)/libchatd.a
	$(call say,LD,$@)
	$(Q)$(CC) $(OPT) -o $@.new $^ $(LDLIBS) && mv $@.new $@

$(O)/chatctl: $(call obj,$(CTL_SRC)) $(O)/libchatd.a
	$(call say,LD,$@)
	$(Q)$(CC) $(OPT) -o $@.new $^ $(LDLIBS) && mv $@.new $@

$(O)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# A unit test may bring the objects of a process folder with it: UNIT_EXTRA_x
$(O)/unit/%: $(O)/obj/tests/unit/%.o $(O)/libchatd.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(OPT) -o $@ $(filter-out %.a,$^) $(O)/libchatd.a $(LDLIBS) -lcmocka

unit: $(UNIT_BIN)
	@rc=0; for t in $(UNIT_BIN); do $$t || rc=1; done; exit $$rc

-include worker/worker.mk scribe/scribe.mk master/master.mk clerk/clerk.mk \
	bridge/bridge.mk
-include tests/tests.mk tests/bench/bench.mk tests/stress/stress.mk \
	tests/conformance/conformance.mk tests/clients/clients.mk \
	tests/model/model.mk tests/fuzz/fuzz.mk

-include tests/wire/wire.mk tests/fault/fault.mk tests/torture/torture.mk \
	tests/power/power.mk tests/canary/canary.mk

clean:
	rm -rf build build-*

-include $(ALL_OBJ:.o=.d)
