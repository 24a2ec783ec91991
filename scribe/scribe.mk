# scribe.mk - unit tests and the bench that bring objects of scribe/ along
#
#   make store-bench    the scribe against a bare LMDB group commit
#   make upkeep-bench   what merging and retention cost

SCRIBE_CORE := $(call obj,$(addprefix scribe/,commit.c dedupe.c disk.c edit.c \
	expire.c log_ring.c merge.c orphans.c presence.c readers.c recovery.c \
	retention.c rooms.c sequence.c status.c steer.c steps.c streams.c \
	sweep.c upkeep.c))
ALL_OBJ += $(call obj,tests/bench/store_bench.c)

$(O)/unit/test_dedupe $(O)/unit/test_rooms $(O)/unit/test_sequence \
$(O)/unit/test_scribe_presence $(O)/unit/test_commit $(O)/unit/test_orphans \
$(O)/unit/test_scribe_edit \
$(O)/unit/test_recovery_rows $(O)/unit/test_recovery_resume \
$(O)/unit/test_sweep $(O)/unit/test_scribe_steps \
$(O)/unit/test_merge $(O)/unit/test_retention $(O)/unit/test_expire \
$(O)/unit/test_upkeep $(O)/unit/test_disk $(O)/unit/test_readers \
$(O)/unit/test_scribe_damage $(O)/unit/test_scribe_model \
$(O)/unit/test_scribe_steer \
$(O)/unit/test_scribe_kill $(O)/unit/test_recovery_kill \
$(O)/unit/test_scribe_rings $(O)/unit/test_scribe_streams \
$(O)/unit/test_scribe_upkeep_kill \
$(O)/unit/test_scribe_process: $(SCRIBE_CORE)

# the whole process
$(O)/unit/test_scribe_kill $(O)/unit/test_recovery_kill \
$(O)/unit/test_scribe_rings \
$(O)/unit/test_scribe_upkeep_kill \
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

ALL_OBJ += $(call obj,tests/bench/upkeep_bench.c)

.PHONY: upkeep-bench
upkeep-bench: $(O)/bench/upkeep_bench
	$(O)/bench/upkeep_bench

$(O)/bench/upkeep_bench: $(call obj,tests/bench/upkeep_bench.c) \
    $(SCRIBE_CORE) $(O)/libchatd.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(OPT) -o $@ $^ $(LDLIBS)
