"""Network pickles of others, read by interpreting their opcodes: nothing that they name is imported, nothing called.

`machine` is the stack of a pickle, `values` what can be on it, `storages` the numbers of a tensor, `families` whose
file it is, `modules` the tree of modules in it. interop/reference_networks.py makes networks of ours of that.
"""
