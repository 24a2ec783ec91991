# clients.mk - stock clients, proxies, browsers, and many of them.
#
#   make stock          stock clients, proxies, the browser
#   make polling-load   200,000 polling requests of 500 sessions via nginx

.PHONY: stock polling-load

stock: deps-test all conformance
	@sh tests/clients/stock.sh
	@/usr/bin/python3 -W ignore tests/clients/test_python.py

polling-load: deps-test all bench-tools
	@sh tests/clients/clients.sh
	@node tests/clients/polling_load.mjs $(if $(REQUESTS),--requests $(REQUESTS))
