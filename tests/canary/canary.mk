# canary.mk - nothing of one workspace is seen in another.
#
#   make canary         OPERATIONS=n, SEED=n; a million without
#   make canary-leaks   is it seen when something is?

.PHONY: canary canary-short canary-leaks

canary: all
	sh tests/system/clients.sh
	node tests/canary/canary.mjs $(if $(OPERATIONS),\
	--operations $(OPERATIONS)) $(if $(SEED),--seed $(SEED))

canary-short: all
	node tests/canary/canary.mjs --operations 30000

canary-leaks: all
	/usr/bin/python3 tests/canary/leaks.py
