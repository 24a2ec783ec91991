# model.mk - what the rings and the tables promise, explored: Spin for the
# protocols, Relacy for the memory orders, each with mutants that must fail.

.PHONY: models

RELACY_FROM := tests/model/ring_relacy.cc tests/model/relacy_atomic.h \
	shm/ring_core.h shm/wake_core.h shm/atomic.h shm/order.h common/fault.h

# Relacy's headers warn
$(O)/model/ring_relacy: $(RELACY_FROM)
	@mkdir -p $(@D)
	$(call say,CXX,$@)
	$(Q)g++ -std=gnu++11 -O2 -w -I. -o $@ $<

models: $(O)/model/ring_relacy
	@sh tests/model/run.sh $(O)/model
