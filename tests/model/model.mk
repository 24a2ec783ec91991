# model.mk - what the rings and tables promise, explored.

.PHONY: models

models:
	@sh tests/model/run.sh $(O)/model
