# fuzz.mk - fuzz targets and their corpora.
#
#   make fuzz SECONDS=60 [FUZZ=ws]	libFuzzer, one target after the other
#   make fuzz-corpus			the committed inputs once, under ASan
#   make fuzz-merge FUZZ=ws		take what was found into the corpus
#
# fuzz_x.c has its inputs in corpus/x/, at most 60 of them.

SECONDS ?= 60
FUZZ ?= $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))

F := build-fuzz
FUZZ_CFLAGS = -std=gnu11 -D_GNU_SOURCE -I. -I$(F) -O1 -g \
	-fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=undefined -DCHATD_SANITIZED $(WARN) \
	-DCHATD_VERSION='"$(VERSION)"' $(PKG_CFLAGS)
# what is fuzzed: what takes a client's bytes
FUZZ_DIRS := common proto chat
FUZZ_LIB := $(foreach d,$(FUZZ_DIRS),$(patsubst %.c,$(F)/obj/%.o,\
	$(sort $(wildcard $(d)/*.c))))
FUZZ_OBJ := $(foreach x,$(FUZZ),$(F)/obj/tests/fuzz/fuzz_$(x).o)
CORPUS_OBJ := $(call obj,$(foreach x,$(FUZZ),tests/fuzz/fuzz_$(x).c) \
	tests/fuzz/run_corpus.c)

.PHONY: fuzz fuzz-corpus fuzz-corpus-run fuzz-merge
.SECONDARY: $(FUZZ_OBJ) $(CORPUS_OBJ)

$(F)/obj/%.o: %.c
	@mkdir -p $(@D)
	clang $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

$(F)/libchatd.a: $(FUZZ_LIB)
	@rm -f $@
	ar rcs $@ $^

$(F)/fuzz_%: $(F)/obj/tests/fuzz/fuzz_%.o $(F)/libchatd.a
	clang -g -fsanitize=fuzzer,address,undefined -o $@ $^ $(PKG_LIBS) \
	    -lm -pthread

# What is found new goes to build-fuzz/corpus, what crashes beside it.
fuzz: $(foreach x,$(FUZZ),$(F)/fuzz_$(x))
	@set -e; for x in $(FUZZ); do \
		mkdir -p $(F)/corpus/$$x; \
		nice $(F)/fuzz_$$x -max_total_time=$(SECONDS) -max_len=4096 \
		    -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
		    -artifact_prefix=$(F)/$$x- $(F)/corpus/$$x \
		    tests/fuzz/corpus/$$x; \
	done

fuzz-merge: $(foreach x,$(FUZZ),$(F)/fuzz_$(x))
	@set -e; for x in $(FUZZ); do \
		$(F)/fuzz_$$x -merge=1 -max_len=4096 tests/fuzz/corpus/$$x \
		    $(F)/corpus/$$x; \
	done

fuzz-corpus:
	@$(MAKE) --no-print-directory BUILD=asan fuzz-corpus-run

fuzz-corpus-run: $(foreach x,$(FUZZ),$(O)/fuzz/$(x))
	@set -e; for x in $(FUZZ); do \
		$(O)/fuzz/$$x tests/fuzz/corpus/$$x; \
	done

$(O)/fuzz/%: $(O)/obj/tests/fuzz/fuzz_%.o $(O)/obj/tests/fuzz/run_corpus.o \
    $(O)/libchatd.a
	@mkdir -p $(@D)
	$(CC) $(OPT) -o $@ $^ $(LDLIBS)

-include $(FUZZ_LIB:.o=.d) $(FUZZ_OBJ:.o=.d) $(CORPUS_OBJ:.o=.d)
