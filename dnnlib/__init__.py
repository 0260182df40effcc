"""Small helpers that know neither torch nor GANs: files, errors, parsing, command lines, logging."""
