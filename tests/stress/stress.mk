# stress.mk - the rings and the client table under stress.
#
#   make ring-tsan      the rings with threads, under ThreadSanitizer (5 s)
#   make client-tsan    clients that change hands while workers die (5 s)
#   make stream-tsan    streams that change hands, the same (5 s)
#   make stream-torture-short  kill -9 of those who write streams: 5 s
#   make stream-torture        the same for five minutes
#   make torture-short  kill -9, SIGSTOP, eviction: 14 s, for every change
#   make torture        the same in seven configurations: 10 minutes
#   make stream-table-bench  what a chunk costs, and a stream
#   make ring-bench     what a publication costs, against a floor

RING_SRC := $(sort $(wildcard shm/ring*.c)) shm/wake.c shm/record.c \
	common/log.c common/log_line.c common/clock.c
TORTURE_SRC := tests/stress/ring_torture.c tests/stress/torture_scribe.c \
	tests/stress/torture_store.c tests/stress/torture_util.c \
	tests/stress/torture_worker.c tests/stress/fault.c

fault_obj := $(patsubst %.c,$(O)/faults/%.o,$(RING_SRC) $(TORTURE_SRC))
tsan_obj := $(patsubst %.c,$(O)/ring-tsan/%.o,\
	$(RING_SRC) tests/stress/ring_threads.c)
# what tables.c wants
TABLES_SRC := shm/tables.c shm/segment.c shm/iobuf.c shm/user.c shm/counter.c \
	shm/burst.c shm/lost.c shm/address.c shm/wake.c $(wildcard shm/stream*.c) \
	common/log.c common/log_line.c common/clock.c
client_tsan_obj := $(patsubst %.c,$(O)/ring-tsan/%.o,shm/client.c \
	$(TABLES_SRC) tests/stress/client_threads.c)
stream_fault_obj := $(patsubst %.c,$(O)/faults/%.o,$(TABLES_SRC) \
	tests/stress/stream_torture.c tests/stress/stream_work.c \
	tests/stress/fault.c)
stream_tsan_obj := $(patsubst %.c,$(O)/ring-tsan/%.o,$(TABLES_SRC) \
	tests/stress/stream_threads.c tests/stress/stream_work.c)
ring_bench_obj := $(patsubst %.c,$(O)/obj/%.o,\
	$(RING_SRC) tests/bench/ring_bench.c)
ALL_OBJ += $(fault_obj) $(tsan_obj) $(client_tsan_obj) $(ring_bench_obj) \
	$(stream_fault_obj) $(stream_tsan_obj)

.PHONY: ring-tsan client-tsan torture torture-short torture-recovery \
	ring-bench stream-tsan stream-torture stream-torture-short

# The same sources, with the steps at which a test may kill.
$(O)/faults/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -DCHATD_FAULTS -MMD -MP -c -o $@ $<

# The same sources, whatever BUILD is, for ThreadSanitizer.
$(O)/ring-tsan/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -I. -I$(O) $(WARN) -O1 -g \
		-fsanitize=thread -DCHATD_SANITIZED -MMD -MP -c -o $@ $<

$(O)/stress/ring_torture: $(fault_obj)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(OPT) -o $@ $^ $(LDLIBS)

$(O)/stress/ring_threads: $(tsan_obj)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -fsanitize=thread -o $@ $^ -lxxhash -pthread

$(O)/stress/client_threads: $(client_tsan_obj)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -fsanitize=thread -o $@ $^ -lxxhash -lbsd -pthread

$(O)/bench/ring_bench: $(ring_bench_obj)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(OPT) -o $@ $^ $(LDLIBS)

$(O)/stress/stream_torture: $(stream_fault_obj)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(OPT) -o $@ $^ $(LDLIBS)

$(O)/stress/stream_threads: $(stream_tsan_obj)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -fsanitize=thread -o $@ $^ -lxxhash -lbsd -pthread

$(O)/unit/test_stream_kill: $(O)/obj/tests/stress/stream_work.o
ALL_OBJ += $(O)/obj/tests/stress/stream_work.o

stream-tsan: $(O)/stress/stream_threads
	TSAN_OPTIONS=halt_on_error=1 $(O)/stress/stream_threads 5

stream-torture-short: $(O)/stress/stream_torture
	$(O)/stress/stream_torture -t 5 -k 1000 -S $(SEED)

stream-torture: $(O)/stress/stream_torture
	$(O)/stress/stream_torture -t 300 -S $(SEED)

ring-tsan: $(O)/stress/ring_threads
	TSAN_OPTIONS=halt_on_error=1 $(O)/stress/ring_threads 5

client-tsan: $(O)/stress/client_threads
	TSAN_OPTIONS=halt_on_error=1 $(O)/stress/client_threads 5

# SEED=n makes the same plan again; what the processes make of it differs.
SEED ?= $(shell date +%s)
ring_torture = $(O)/stress/ring_torture -d $(O)/stress/torture.db -S $(SEED)

torture-short: $(O)/stress/ring_torture
	$(ring_torture) -t 5 -l 6 -a 64
	$(ring_torture) -t 5 -l 12 -a 512
	$(ring_torture) -t 4 -c -p 300000 -f WAKE_TAKEN

# workers are killed, and nobody believes in a ghost: 5 minutes
.PHONY: ghosts
ghosts: all bench-tools
	/usr/bin/python3 tests/stress/ghosts.py --kills 200 $(if $(SEED),--seed $(SEED))
	/usr/bin/python3 tests/stress/crowd.py

# 2,000 clients are cut, killed and recovered: 3 minutes
torture-recovery: all bench-tools
	/usr/bin/python3 tests/stress/recovery.py --long

torture: $(O)/stress/ring_torture torture-recovery
	$(ring_torture) -t 120 -l 6 -a 64
	$(ring_torture) -t 120 -l 6 -a 64 -h -n -p 0 -k 40 -K 40 -s 20
	$(ring_torture) -t 100 -l 12 -a 512
	$(ring_torture) -t 80 -l 8 -a 128 -h -n -p 500 -k 10 -K 5 -s 40
	$(ring_torture) -t 120 -l 16 -a 4096 -p 0
	$(ring_torture) -t 30 -l 12 -c -p 300000
	$(ring_torture) -t 30 -l 12 -c -p 300000 -f WAKE_TAKEN

$(O)/bench/stream_table_bench: \
    $(O)/obj/tests/bench/stream_table_bench.o $(O)/libchatd.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(OPT) -o $@ $^ $(LDLIBS)
ALL_OBJ += $(O)/obj/tests/bench/stream_table_bench.o

.PHONY: stream-table-bench
stream-table-bench: $(O)/bench/stream_table_bench
	$(O)/bench/stream_table_bench 1
	$(O)/bench/stream_table_bench 1000

ring-bench: $(O)/bench/ring_bench
	$(O)/bench/ring_bench
