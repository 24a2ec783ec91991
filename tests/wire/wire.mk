# wire.mk - the edge cases of the wire, frames, and known vulnerabilities.
#
#   make edges             each case with pass or deviation
#   make edges-reference   the same against what they were read off from
#   make framing vulns     WebSocket frames; inputs that broke others
#
# ONLY=pattern runs those whose name matches.

.PHONY: edges edges-reference framing vulns

WIRE_ONLY := $(if $(ONLY),--only '$(ONLY)')
WIRE_ENV = CHATD=$(O)/chatd CHATCTL=$(O)/chatctl \
	CONFORMANCE=$(O)/chatd-conformance

edges: all conformance
	@$(WIRE_ENV) /usr/bin/python3 tests/wire/test_edges.py $(WIRE_ONLY)

edges-reference:
	@sh tests/wire/reference/install.sh
	@/usr/bin/python3 tests/wire/test_edges.py --reference $(WIRE_ONLY)

framing: conformance
	@$(WIRE_ENV) /usr/bin/python3 tests/wire/test_framing.py $(WIRE_ONLY)

vulns: all
	@$(WIRE_ENV) /usr/bin/python3 tests/wire/test_vulns.py $(WIRE_ONLY)
