"""The editor's server: one model in memory, one thread that computes, any number of pages."""
