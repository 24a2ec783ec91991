# conformance.mk - the conformance server: the worker's connection code with
# the behaviour that suites for the protocols expect.
#
#   make conformance    $(O)/chatd-conformance

# of the worker all but what belongs to the chat, to its rings and the store
CONFORMANCE_WITHOUT := $(addprefix worker/,main.c loop.c master.c app_chat.c \
	ops.c ops_bans.c publish.c deliver.c inspect.c rings.c ctl.c steer.c \
	steer_args.c steer_command.c bans.c events.c filter.c look.c \
	look_limits.c crowd.c bridge.c stream.c leftover.c) \
	$(wildcard worker/reader*.c)
CONFORMANCE_CORE := $(call obj,$(filter-out $(CONFORMANCE_WITHOUT),\
	$(sort $(wildcard worker/*.c))) master/inbox.c)
CONFORMANCE_OBJ := $(call obj,$(sort $(wildcard tests/conformance/*.c)))
ALL_OBJ += $(CONFORMANCE_OBJ)

.PHONY: conformance

conformance: $(O)/chatd-conformance

$(O)/chatd-conformance: $(CONFORMANCE_OBJ) $(CONFORMANCE_CORE) \
    $(O)/libchatd.a
	$(call say,LD,$@)
	$(Q)$(CC) $(OPT) -o $@.new $^ $(LDLIBS) && mv $@.new $@

# the same with an application that only listens
$(O)/unit/test_worker_core: $(CONFORMANCE_CORE)

$(O)/unit/test_conformance_call: $(O)/obj/tests/conformance/call.o
$(O)/unit/test_conformance_recovery: $(O)/obj/tests/conformance/recovery.o
$(O)/unit/test_conformance_handshake: $(O)/obj/tests/conformance/handshake.o
$(O)/unit/test_conformance_hold: $(O)/obj/tests/conformance/hold.o
$(O)/unit/test_conformance_options: $(call obj,$(addprefix \
	tests/conformance/,options.c))
