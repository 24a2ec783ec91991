# bridge.mk - which objects of bridge/ the unit tests bring with them

$(O)/unit/test_breaker: $(O)/obj/bridge/breaker.o
$(O)/unit/test_bridge_cache: $(O)/obj/bridge/cache.o
$(O)/unit/test_bridge_post: $(O)/obj/bridge/post.o
$(O)/unit/test_desk: $(call obj,$(addprefix bridge/,desk.c breaker.c cache.c \
	post.c))
