"""Network pickles of others, read by interpreting their opcodes: nothing that they name is imported, nothing called.

dnnlib/pickle_machine.py does the opcodes; `values` is what can be on its stack, `storages` the numbers of a tensor,
`families` whose file it is, `modules` the tree of modules in it. interop/reference_networks.py makes networks of ours
of that.
"""
