# power.mk - what is left when the power goes.
#
#   make power          5,000 images of the scribe's, 1,000 of a daemon's
#                       disk, and each planted fault
#   make power-short    some hundreds of each, for every change
#   SEED=n plays another story, IMAGES=n makes as many images

comma := ,
POWER_DIR := tests/power
POWER_SRC := $(addprefix $(POWER_DIR)/,check.c digest.c disk.c journal.c \
	ledger.c life.c main.c record.c small_ring.c story.c)
power_obj := $(call obj,$(POWER_SRC))
power_daemon_obj := $(call obj,$(addprefix $(POWER_DIR)/,journal.c record.c))
ALL_OBJ += $(power_obj)

# what the recorder stands in front of
POWER_WRAP := -rdynamic $(patsubst %,-Wl$(comma)--wrap=%,ring_decide \
	ring_durable store_commit store_sync mdb_env_open)

.PHONY: power power-short

$(O)/power/power: $(power_obj) $(SCRIBE_CORE) $(O)/libchatd.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(OPT) -o $@ $^ $(POWER_WRAP) $(LDLIBS)

# the daemon as it is, but that its scribe's writes are recorded
$(O)/power/chatd: $(call obj,$(CHATD_SRC)) $(power_daemon_obj) $(O)/libchatd.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(OPT) -o $@ $^ $(POWER_WRAP) $(LDLIBS)

power_programs := $(O)/power/power $(O)/power/chatd $(O)/bench/load \
	$(O)/chatctl

power: $(power_programs)
	$(O)/power/power -s $(or $(SEED),1) -n $(or $(IMAGES),5000)
	/usr/bin/python3 $(POWER_DIR)/daemon.py $(O) 1000

power-short: $(power_programs)
	$(O)/power/power -s $(or $(SEED),1) -n 300 -t 100
	/usr/bin/python3 $(POWER_DIR)/daemon.py $(O) 100 2

$(O)/unit/test_power_disk: $(call obj,$(addprefix $(POWER_DIR)/,disk.c \
	journal.c))
