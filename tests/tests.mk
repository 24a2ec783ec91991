# tests.mk - check, test, demo: what people run.

.PHONY: check test demo hello deps-build deps-demo deps-test deps-bench install

deps-%:
	@sh tests/deps.sh $*

# --- the house rules ---------------------------------------------------

# everything compiles with both compilers, warnings are errors
check: deps-test
	@$(MAKE) --no-print-directory all unit-programs
	@$(MAKE) --no-print-directory CC=clang all unit-programs
	@sh tests/check.sh .
	@$(MAKE) --no-print-directory fuzz-corpus

unit-programs: $(UNIT_BIN)

# --- the tests ---------------------------------------------------------

# ONLY=pattern runs those whose name matches
test: deps-test
	@/usr/bin/python3 tests/run.py $(if $(ONLY),--only '$(ONLY)')

# --- a daemon to look at -------------------------------------------------

DEMO_OPTIONS := -o listen=127.0.0.1:3002 -o auth.mode=none \
	-o run_dir=$(CURDIR)/run -o data_dir=$(CURDIR)/run/data \
	-o user=nobody -o group=nogroup -o log.target=stderr

demo: deps-demo
	@$(MAKE) --no-print-directory all
	@cd etc/demo && { test -d node_modules/socket.io-client || \
	    npm ci --silent --no-progress; }
	@echo
	@echo "chatd on 127.0.0.1:3002, its store under ./run.  Say hello from"
	@echo "other terminals, as often as you like:"
	@echo
	@echo "    make hello NAME=ada"
	@echo
	@echo "and look inside:  build/chatctl -s run/chatd.sock status"
	@echo "^C ends it; what was said is still there the next time."
	@echo
	@exec build/chatd -d $(DEMO_OPTIONS)

hello:
	@cd etc/demo && exec node hello.mjs $(if $(NAME),$(NAME),somebody) \
	    $(SESSION)

# --- installing ----------------------------------------------------------

PREFIX ?= /usr
SYSCONFDIR ?= /etc
# the browser's client out of npm's socket.io-client, if it is here
CLIENT_DIST ?= $(firstword $(wildcard etc/demo/node_modules/socket.io-client/dist))
CLIENT_FILES = $(wildcard $(foreach v,js min.js esm.min.js msgpack.min.js,\
	$(CLIENT_DIST)/socket.io.$v $(CLIENT_DIST)/socket.io.$v.map))
# configurations of what may stand in front
SAMPLES = $(wildcard etc/nginx/* etc/haproxy/*)
# a configuration that is there is kept, and the new one put beside it
install: all
	install -D -m 0755 $(O)/chatd $(DESTDIR)$(PREFIX)/sbin/chatd
	install -D -m 0755 $(O)/chatctl $(DESTDIR)$(PREFIX)/bin/chatctl
	@set -e; for f in chatd.conf content.rules; do \
	    to=$(DESTDIR)$(SYSCONFDIR)/chatd/$$f; \
	    if [ -e $$to ] && ! cmp -s etc/$$f $$to; then \
		echo "$$to is kept, $$f.new put beside it"; to=$$to.new; fi; \
	    install -D -m 0644 etc/$$f $$to; done
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	$(O)/chatctl completion bash \
	    >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/chatctl
	install -D -m 0644 etc/man/chatd.8 \
	    $(DESTDIR)$(PREFIX)/share/man/man8/chatd.8
	install -D -m 0644 etc/man/chatd-client.7 \
	    $(DESTDIR)$(PREFIX)/share/man/man7/chatd-client.7
	install -D -m 0644 etc/man/chatctl.1 \
	    $(DESTDIR)$(PREFIX)/share/man/man1/chatctl.1
	install -D -m 0644 etc/man/chatd.conf.5 \
	    $(DESTDIR)$(PREFIX)/share/man/man5/chatd.conf.5
	install -D -m 0644 etc/man/content.rules.5 \
	    $(DESTDIR)$(PREFIX)/share/man/man5/content.rules.5
	$(if $(CLIENT_DIST),install -d $(DESTDIR)$(PREFIX)/share/chatd/client)
	$(if $(CLIENT_DIST),install -m 0644 $(CLIENT_FILES) \
	    $(DESTDIR)$(PREFIX)/share/chatd/client)
	$(if $(SAMPLES),set -e;) $(foreach f,$(SAMPLES),install -D -m 0644 $f \
	    $(DESTDIR)$(PREFIX)/share/doc/chatd/$(patsubst etc/%,%,$f);)
