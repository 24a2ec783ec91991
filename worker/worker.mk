# worker.mk - which objects of worker/ the unit tests bring with them

$(O)/unit/test_wheel: $(O)/obj/worker/wheel.o
$(O)/unit/test_publish: $(O)/obj/worker/publish.o
$(O)/unit/test_handoff: $(O)/obj/worker/handoff.o
$(O)/unit/test_asset: $(O)/obj/worker/asset.o
$(O)/unit/test_reader $(O)/unit/test_reader_streams \
$(O)/unit/test_reader_roster \
$(O)/unit/test_reader_changes: $(call obj,$(wildcard worker/reader*.c))
$(O)/unit/test_worker_stream: $(O)/obj/worker/stream.o
$(O)/unit/test_steer_args: $(O)/obj/worker/steer_args.o \
    $(O)/obj/worker/steer_command.o
$(O)/unit/test_worker_bridge: $(O)/obj/worker/bridge.o $(O)/obj/worker/wheel.o
$(O)/unit/test_ctl: $(O)/obj/worker/ctl.o $(call obj,$(wildcard worker/reader*.c))
$(O)/unit/test_overload: $(O)/obj/worker/overload.o
