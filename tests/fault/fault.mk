# fault.mk - a daemon that can be made to fail at each of its steps.
#
#   make faults         every fault point, its first three hits, its actions
#   make faults-short   a slice of them; the store's points are always in it
#   make webhook-faults the points of auth.mode webhook
#   make disk-faults    full disks, slow disks, broken disks, stopped processes
#
# SEED=n takes another slice; ONLY=pattern takes the points whose name
# matches.  All of it is built with BUILD=fault, into build-fault/.

.PHONY: faults faults-short webhook-faults disk-faults fault-tools fault-build

DISK_SO_SRC := tests/fault/disk.c common/fault.c
fault_so_obj := $(patsubst %.c,$(O)/fault/%.o,$(DISK_SO_SRC))
ALL_OBJ += $(fault_so_obj)

$(O)/fault/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -UCHATD_FAULTS -DCHATD_FAULTS -fPIC \
		-fvisibility=hidden -MMD -MP -c -o $@ $<

$(O)/fault/disk.so: $(fault_so_obj)
	$(call say,LD,$@)
	$(Q)$(CC) $(OPT) -shared -o $@ $^

fault-tools: all $(O)/fault/disk.so

fault-build:
	@$(MAKE) --no-print-directory BUILD=fault fault-tools

FAULT_RUN = /usr/bin/python3 tests/fault/enumerate.py \
	$(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only '$(ONLY)')

faults: fault-build
	@$(FAULT_RUN)

faults-short: fault-build
	@$(FAULT_RUN) --short

webhook-faults: fault-build
	@/usr/bin/python3 tests/fault/webhook.py

disk-faults: fault-build
	@/usr/bin/python3 tests/fault/test_disk.py
