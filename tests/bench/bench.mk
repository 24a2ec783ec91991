# bench.mk - the benchmark: its programs, its own test, and `make bench'.
#
#   make bench-tools    $(O)/bench/load, stream, join, floor and bare
#   make bench          the table (BENCH=quick: within a minute)
#   make bench-test     planted faults: does the verifier see each of them?

BENCH_LIB := util hist scan frame
BENCH_LOAD := load client wire poll answer pace history report verify $(BENCH_LIB)
BENCH_FLOOR := floor floor_http util
BENCH_BARE := bare util
BENCH_STREAM := stream util hist frame
BENCH_JOIN := join util hist frame
bench_obj = $(patsubst %,$(O)/obj/tests/bench/%.o,$(1))
ALL_OBJ += $(call bench_obj,$(BENCH_LOAD) $(BENCH_FLOOR) $(BENCH_BARE) \
	$(BENCH_STREAM) $(BENCH_JOIN))

.PHONY: bench bench-tools bench-test

bench-tools: $(O)/bench/load $(O)/bench/stream $(O)/bench/join \
	$(O)/bench/floor $(O)/bench/bare

$(O)/bench/join: $(call bench_obj,$(BENCH_JOIN))
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(OPT) -o $@ $^ $(LDSAN) -lm

$(O)/bench/stream: $(call bench_obj,$(BENCH_STREAM))
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(OPT) -o $@ $^ $(LDSAN) -lm

$(O)/bench/load: $(call bench_obj,$(BENCH_LOAD))
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(OPT) -o $@ $^ $(LDSAN) -lm

$(O)/bench/floor: $(call bench_obj,$(BENCH_FLOOR))
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(OPT) -o $@ $^ $(LDSAN) -lcrypto

$(O)/bench/bare: $(call bench_obj,$(BENCH_BARE))
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(OPT) -o $@ $^ $(LDSAN)

bench-test: bench-tools
	/usr/bin/python3 tests/bench/test_load.py $(O)

STORE_TOOLS := $(O)/bench/ring_bench $(O)/bench/store_bench \
	$(O)/bench/history_bench

# --- what a message costs before it is published -------------------------

ALL_OBJ += $(call bench_obj,content_bench)

$(O)/bench/content_bench: $(call bench_obj,content_bench) $(O)/libchatd.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(OPT) -o $@ $^ $(LDLIBS)

bench: deps-bench
	@$(MAKE) --no-print-directory all bench-tools $(STORE_TOOLS) \
	    $(O)/bench/content_bench
	@/usr/bin/python3 tests/bench/run.py $(O) $(BENCH)

# --- the store ---------------------------------------------------------
#
#   make bench-store    publication, scribe, pages, restart: against floors
#   make bench-history  the same of ten million messages (8 GB, 10 minutes)

ALL_OBJ += $(call bench_obj,history_bench)

$(O)/bench/history_bench: $(call bench_obj,history_bench) $(SCRIBE_CORE) \
    $(call obj,tests/power/life.c tests/power/small_ring.c) $(O)/libchatd.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(OPT) -o $@ $^ $(LDLIBS)

.PHONY: bench-store bench-history
bench-store: deps-bench
	@$(MAKE) --no-print-directory all $(STORE_TOOLS)
	@/usr/bin/python3 tests/bench/store.py $(O) $(BENCH)

# MESSAGES=n of them
bench-history: deps-bench
	@$(MAKE) --no-print-directory all $(STORE_TOOLS)
	@/usr/bin/python3 tests/bench/store.py $(O) history $(MESSAGES)
