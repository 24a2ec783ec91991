from suite import Registry
edge = Registry()
