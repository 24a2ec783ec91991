# fuzz.mk - fuzz targets and their corpora.
#
#   make fuzz SECONDS=60 [FUZZ=ws]	libFuzzer, one target after the other
#   make fuzz-corpus			the committed inputs once, under ASan
#   make fuzz-merge FUZZ=ws		take what was found into the corpus
#   make fuzz-coverage FUZZ=ws		lines that corpus and finds reach
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

.PHONY: fuzz fuzz-corpus fuzz-corpus-run fuzz-merge fuzz-coverage
.SECONDARY: $(FUZZ_OBJ) $(CORPUS_OBJ)

$(F)/obj/%.o: %.c
	@mkdir -p $(@D)
	clang $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

$(F)/libchatd.a: $(FUZZ_LIB)
	@rm -f $@
	ar rcs $@ $^

# what a target brings with it
$(F)/fuzz_chat: $(F)/obj/tests/fuzz/chat_script.o
$(F)/cov/fuzz_chat: $(F)/cov/tests/fuzz/chat_script.o
$(O)/fuzz/chat: $(O)/obj/tests/fuzz/chat_script.o

$(F)/fuzz_%: $(F)/obj/tests/fuzz/fuzz_%.o $(F)/libchatd.a
	clang -g -fsanitize=fuzzer,address,undefined -o $@ \
	    $(filter %.o,$^) $(F)/libchatd.a $(PKG_LIBS) \
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

# Without sanitizers: their branches are none of ours.
FUZZ_COV := -fprofile-instr-generate -fcoverage-mapping
COV_LIB := $(FUZZ_LIB:$(F)/obj/%=$(F)/cov/%)
COV_OBJ := $(foreach x,$(FUZZ),$(F)/cov/tests/fuzz/fuzz_$(x).o) \
	$(F)/cov/tests/fuzz/run_corpus.o
.SECONDARY: $(COV_OBJ)

$(F)/cov/%.o: %.c
	@mkdir -p $(@D)
	clang $(filter-out -fsanitize% -fno-sanitize% -O1,$(FUZZ_CFLAGS)) \
	    $(FUZZ_COV) -MMD -MP -c -o $@ $<

$(F)/cov/libchatd.a: $(COV_LIB)
	@rm -f $@
	ar rcs $@ $^

$(F)/cov/fuzz_%: $(F)/cov/tests/fuzz/fuzz_%.o \
    $(F)/cov/tests/fuzz/run_corpus.o $(F)/cov/libchatd.a
	clang -g $(FUZZ_COV) -o $@ $(filter %.o,$^) $(F)/cov/libchatd.a \
	    $(PKG_LIBS) -lm -pthread

# what a target is there for, if it is not all that begins with its name
FUZZ_SRC_chat := $(wildcard chat/*.c)
FUZZ_SRC_html := $(wildcard chat/html*.c) chat/content.c chat/rewrite.c
FUZZ_SRC_http := proto/http.c proto/http_accept.c \
	proto/ws_handshake.c
FUZZ_SRC_proxy := proto/proxy.c proto/address.c
FUZZ_SRC_forwarded := proto/forwarded.c proto/address.c
FUZZ_SRC_token := chat/token.c chat/claims.c $(wildcard common/keys*.c) \
	common/base64url.c
FUZZ_SRC_payload := $(wildcard proto/payload*.c) proto/base64.c
fuzz_src = $(or $(FUZZ_SRC_$(1)),$(wildcard common/$(1)*.c proto/$(1)*.c))

fuzz-coverage: $(foreach x,$(FUZZ),fuzz-coverage-$(x))

fuzz-coverage-%: $(F)/cov/fuzz_%
	@rm -f $<.profraw
	@LLVM_PROFILE_FILE=$<.profraw $< tests/fuzz/corpus/$* \
	    $(wildcard $(F)/corpus/$*)
	@llvm-profdata merge -o $<.profdata $<.profraw
	@llvm-cov report $< -instr-profile=$<.profdata \
	    -show-branch-summary=false -show-region-summary=false \
	    $(call fuzz_src,$*)

fuzz-corpus:
	@$(MAKE) --no-print-directory BUILD=asan fuzz-corpus-run

fuzz-corpus-run: $(foreach x,$(FUZZ),$(O)/fuzz/$(x))
	@set -e; for x in $(FUZZ); do \
		$(O)/fuzz/$$x tests/fuzz/corpus/$$x; \
	done

$(O)/fuzz/%: $(O)/obj/tests/fuzz/fuzz_%.o $(O)/obj/tests/fuzz/run_corpus.o \
    $(O)/libchatd.a
	@mkdir -p $(@D)
	$(CC) $(OPT) -o $@ $(filter %.o,$^) $(O)/libchatd.a $(LDLIBS)

-include $(FUZZ_LIB:.o=.d) $(FUZZ_OBJ:.o=.d) $(CORPUS_OBJ:.o=.d) \
	$(COV_LIB:.o=.d) $(COV_OBJ:.o=.d)
