"""Network pickles of others, read by interpreting their opcodes: nothing that they name is imported, nothing called.

`reading` makes networks of ours of a pickle of StyleGAN2-ADA or EqGAN-SA, with the `settings` that its modules show.
dnnlib/pickle_interpreter.py does the opcodes; `values` is what can be on its stack, `storages` the numbers of a
tensor, `families` whose file it is, `modules` the tree of modules in it.
"""
