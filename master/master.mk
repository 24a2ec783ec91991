# master.mk - which objects of master/ and chatctl/ the unit tests bring along

$(O)/unit/test_backoff: $(O)/obj/master/backoff.o
$(O)/unit/test_watch: $(O)/obj/master/watch.o
$(O)/unit/test_choose: $(O)/obj/master/choose.o
$(O)/unit/test_options: $(O)/obj/master/options.o
$(O)/unit/test_rights: $(O)/obj/master/rights.o
$(O)/unit/test_place: $(O)/obj/master/place.o $(O)/obj/master/rights.o
$(O)/unit/test_spawn: $(O)/obj/master/spawn.o
$(O)/unit/test_hearing: $(O)/obj/master/hearing.o $(O)/obj/master/spawn.o
$(O)/unit/test_request: $(O)/obj/master/request.o
$(O)/unit/test_control: $(O)/obj/master/control.o $(O)/obj/master/request.o
$(O)/unit/test_listen: $(O)/obj/master/listen.o
$(O)/unit/test_deal: $(O)/obj/master/deal.o $(O)/obj/master/choose.o
$(O)/unit/test_reload: $(call obj,$(addprefix master/,reload.c options.c \
	logs.c notify.c bundle.c resize.c shared.c))
$(O)/unit/test_resize: $(O)/obj/master/resize.o $(O)/obj/master/shared.o
$(O)/unit/test_notify: $(O)/obj/master/notify.o
$(O)/unit/test_supervise: $(call obj,$(addprefix master/,bridge.c supervise.c child.c \
	backoff.c inbox.c resize.c shared.c spawn.c))
$(O)/unit/test_child: $(call obj,master/bridge.c master/inbox.c master/shared.c)
$(O)/unit/test_inbox: $(O)/obj/master/inbox.o
$(O)/unit/test_bundle: $(O)/obj/master/bundle.o
$(O)/unit/test_table: $(O)/obj/chatctl/table.o
$(O)/unit/test_show: $(O)/obj/chatctl/show.o $(O)/obj/chatctl/table.o
$(O)/unit/test_chatctl_command: $(O)/obj/chatctl/command.o
$(O)/unit/test_chatctl_filter: $(call obj,$(addprefix chatctl/,filter.c \
	command.c client.c show.c table.c))
$(O)/unit/test_chatctl_token: $(call obj,chatctl/token.c chatctl/sign.c \
	chatctl/command.c \
	chatctl/client.c chatctl/show.c chatctl/table.c)
