"""The process that reads an LMDB database for another: LMDB maps the file into memory, and a damaged one ends it.

Runs as a script, with nothing of this project imported: lmdb_server.py FOLDER LIMIT. Talks through its standard input
and output. First it sends the keys, in order: for each its length (4 bytes, big-endian) and its bytes, at the end the
length END. Then it answers each number (8 bytes) with the length (8 bytes) and the bytes of that key's value. Where it
cannot go on, it says why on standard error and ends.
"""

import os
import struct
import sys

END = 0xFFFFFFFF  # of the keys


def main(folder: str, limit: int) -> None:
    """Serve until standard input ends. `limit`: how many keys; 0: all."""
    import lmdb

    output = sys.stdout.buffer
    try:
        environment = lmdb.open(folder, readonly=True, lock=False, readahead=False, create=False)
        with environment.begin(buffers=True) as transaction:
            keys = send_keys(transaction, limit, output)
            while number := sys.stdin.buffer.read(8):
                value = transaction.get(keys[int.from_bytes(number)]) or b""
                output.write(len(value).to_bytes(8))
                output.write(value)
                output.flush()
    except BrokenPipeError:  # nobody listens any more
        os._exit(0)
    except (lmdb.Error, OSError, ValueError, MemoryError) as error:
        sys.exit(str(error) or type(error).__name__)


def send_keys(transaction, limit: int, output) -> list[bytes]:
    """The first keys. Raises ValueError where they do not rise, which could go on for ever."""
    keys: list[bytes] = []
    for key in transaction.cursor().iternext(keys=True, values=False):
        key = bytes(key)
        if keys and key <= keys[-1]:
            raise ValueError("its keys are not in order")
        keys.append(key)
        output.write(struct.pack(">I", len(key)) + key)
        if len(keys) == limit:
            break
    output.write(struct.pack(">I", END))
    output.flush()
    return keys


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
