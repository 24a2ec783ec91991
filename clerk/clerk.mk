# clerk.mk - which objects of clerk/ and of chatctl's part of it the unit
# tests bring along

CLERK_CORE := $(call obj,$(addprefix clerk/,answer.c backup.c check.c \
	check_refs.c check_rows.c compact.c export.c growth.c open.c output.c \
	verify.c))

$(O)/unit/test_clerk_answer $(O)/unit/test_clerk_check \
$(O)/unit/test_clerk_commands: $(CLERK_CORE)
$(O)/unit/test_clerk_output: $(call obj,clerk/output.c clerk/growth.c)
$(O)/unit/test_chatctl_sink: $(O)/obj/chatctl/sink.o
$(O)/unit/test_chatctl_local: $(call obj,$(addprefix chatctl/,local.c \
	client.c command.c show.c table.c))
$(O)/unit/test_master_clerk: $(call obj,master/clerk.c master/spawn.c)
$(O)/unit/test_health: $(call obj,master/health.c master/bridge.c \
	master/inbox.c)
$(O)/unit/test_retention_run: $(O)/obj/master/retention.o
