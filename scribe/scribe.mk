# scribe.mk - unit tests and the bench that bring objects of scribe/ along
#
#   make store-bench    the scribe against a bare LMDB group commit

SCRIBE_CORE := $(call obj,$(addprefix scribe/,commit.c dedupe.c log_ring.c \
	orphans.c presence.c recovery.c rooms.c sequence.c steps.c sweep.c))
ALL_OBJ += $(call obj,tests/bench/store_bench.c)

$(O)/unit/test_dedupe $(O)/unit/test_rooms $(O)/unit/test_sequence \
$(O)/unit/test_scribe_presence $(O)/unit/test_commit $(O)/unit/test_orphans \
$(O)/unit/test_recovery_rows $(O)/unit/test_recovery_resume \
$(O)/unit/test_sweep $(O)/unit/test_scribe_steps \
$(O)/unit/test_scribe_kill $(O)/unit/test_recovery_kill \
$(O)/unit/test_scribe_process: $(SCRIBE_CORE)

# the whole process
$(O)/unit/test_scribe_kill $(O)/unit/test_recovery_kill \
$(O)/unit/test_scribe_process: \
    $(call obj,$(addprefix scribe/,loop.c main.c rings.c \
	master.c report.c))

.PHONY: store-bench
store-bench: $(O)/bench/store_bench
	$(O)/bench/store_bench

$(O)/bench/store_bench: $(call obj,tests/bench/store_bench.c) $(SCRIBE_CORE) \
    $(O)/libchatd.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(OPT) -o $@ $^ $(LDLIBS)
