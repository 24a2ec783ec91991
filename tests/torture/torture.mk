# torture.mk - the whole system under kill -9, stops and full disks.
#
#   make torture-tools    the clients, the dump and the checker
#   make torture-system   SECONDS=n, SEED=n; ten minutes without
#   make torture-ci       a slice of a minute
#   make torture-checker  does the checker find what is planted?

TORTURE_CLIENTS := clients line wire talk send change stream act ledger \
	names heard
TORTURE_DUMP := dump ledger names heard
TORTURE_CHECK := check check_store check_client check_order check_change \
	check_stream ledger

torture_dir = tests/torture
torture_obj = $(patsubst %,$(O)/obj/$(torture_dir)/%.o,$(1))
torture_lib := $(patsubst %,$(O)/obj/tests/bench/%.o,util scan frame)
ALL_OBJ += $(sort $(call torture_obj,$(TORTURE_CLIENTS) $(TORTURE_DUMP) \
	$(TORTURE_CHECK)))
TORTURE_BIN := $(patsubst %,$(O)/torture/%,clients dump check)
torture_run = /usr/bin/python3 $(torture_dir)/torture.py \
	$(if $(filter command line environment,$(origin SECONDS)),\
	--seconds $(SECONDS)) \
	$(if $(filter command line environment,$(origin SEED)),--seed $(SEED))

.PHONY: torture-tools torture-system torture-ci torture-checker

torture-tools: $(TORTURE_BIN)

$(O)/torture/clients: $(call torture_obj,$(TORTURE_CLIENTS)) $(torture_lib)
$(O)/torture/dump: $(call torture_obj,$(TORTURE_DUMP)) $(torture_lib) \
	$(O)/libchatd.a
$(O)/torture/check: $(call torture_obj,$(TORTURE_CHECK)) $(torture_lib)

$(TORTURE_BIN):
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(OPT) -o $@ $^ $(LDLIBS)

torture-system: all torture-tools
	$(torture_run)

torture-ci: all torture-tools
	/usr/bin/python3 $(torture_dir)/torture.py --ci

torture-checker: all torture-tools
	/usr/bin/python3 $(torture_dir)/test_checker.py

torture: torture-system
