"""Pickles made to do harm, or to look like networks, by their opcodes. MARKER is a file that they would make."""

import io
import pickle
import struct
from collections.abc import Callable

import torch

MARKER = "MARKER"
PERSISTENT = ("torch_utils.persistence", "_reconstruct_persistent_obj")
TOUCH = f"touch {MARKER}"
CODE = f"open({MARKER!r}, 'w').close()"
FAMILY = ("_reconstruct_persistent_obj", "SynthesisBlock", "SynthesisNetwork")  # makes a file look like one


def text(value: str) -> bytes:
    data = value.encode()
    return b"\x8c" + bytes([len(data)]) + data if len(data) < 256 else b"X" + struct.pack("<I", len(data)) + data


def blob(value: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(value)) + value


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def long(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def on_stack(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"


def tuple_of(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def call(module: str, name: str, *arguments: bytes) -> bytes:
    return named(module, name) + tuple_of(*arguments) + b"R"


def dictionary(**items: bytes) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def module(class_name: str = "Generator", **state: bytes) -> bytes:
    about = {"type": text("class"), "version": number(6), "module_src": text(CODE), "class_name": text(class_name)}
    return call(*PERSISTENT, dictionary(**about, state=dictionary(**state)))


def storage(count: int = 4, claims: int | None = None, kind: bytes | None = None, data: bytes | None = None) -> bytes:
    """The bytes of a stored storage, some of it replaced."""
    claims = count if claims is None else claims
    kind = named("torch", "FloatStorage") if kind is None else kind
    words = (b"X" + struct.pack("<I", len(word)) + word for word in (b"storage", b"0", b"cpu"))  # as in protocol 2
    identity = tuple_of(next(words), kind, *words, long(claims), b"N") + b"Q"
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    parts = [pickle.dumps(each, 2) for each in (0x1950A86A20F9469CFC6C, 1001, system)]
    parts += [b"\x80\x02" + identity + b".", pickle.dumps(["0"], 2), struct.pack("<q", claims)]
    return b"".join(parts) + (bytes(4 * count) if data is None else data)


def tensor(
    stored: bytes | None = None, offset: bytes = b"K\x00", shape: bytes = b"K\x04\x85", strides: bytes = b"K\x01\x85"
) -> bytes:
    loaded = call("torch.storage", "_load_from_bytes", blob(storage() if stored is None else stored))
    hooks = call("collections", "OrderedDict")
    return call("torch._utils", "_rebuild_tensor_v2", loaded, offset, shape, strides, b"\x89", hooks)


def with_tensor(value: bytes) -> bytes:
    """A network with one parameter."""
    return network(G_ema=module(_parameters=dictionary(weight=value)))


def network(**parts: bytes) -> bytes:
    """A file that has all of the parts of one, some replaced."""
    whole = {"G": module(), "D": module("Discriminator"), "G_ema": module()}
    return pickled(dictionary(**{**whole, **parts}))


def pickled(body: bytes) -> bytes:
    """With the words that make it look like one of ours."""
    return b"\x80\x04" + b"".join(text(word) + b"0" for word in FAMILY) + body + b"."


def torch_saved(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def laughs(depth: int, start: bytes, twice: Callable[[bytes], bytes]) -> bytes:
    """Something that holds the one before twice, which holds the one before that twice ..."""
    body = start + b"q\x00"
    for level in range(depth):
        body += twice(b"h" + bytes([level])) + b"q" + bytes([level + 1])
    return body


GADGETS: dict[str, tuple[str, str, tuple[bytes, ...]]] = {
    "os.system": ("os", "system", (text(TOUCH),)),
    "posix.system": ("posix", "system", (text(TOUCH),)),
    "subprocess.Popen": ("subprocess", "Popen", (tuple_of(text("touch"), text(MARKER)),)),
    "builtins.eval": ("builtins", "eval", (text(CODE),)),
    "builtins.exec": ("builtins", "exec", (text(CODE),)),
    "__builtin__.eval": ("__builtin__", "eval", (text(CODE),)),
    "builtins.__import__": ("builtins", "__import__", (text("antigravity"),)),
    "builtins.getattr": ("builtins", "getattr", (named("os", "path"), text("join"))),
    "builtins.open": ("builtins", "open", (text(MARKER), text("w"))),
    "builtins.map": ("builtins", "map", (named("os", "system"), tuple_of(text(TOUCH)))),
    "operator.attrgetter": ("operator", "attrgetter", (text("system"),)),
    "operator.methodcaller": ("operator", "methodcaller", (text("system"), text(TOUCH))),
    "functools.partial": ("functools", "partial", (named("os", "system"), text(TOUCH))),
    "functools.reduce": ("functools", "reduce", (named("os", "system"), tuple_of(text(TOUCH)))),
    "torch.load": ("torch", "load", (text(MARKER),)),
    "torch.hub.load": ("torch.hub", "load", (text("a/b"), text("c"))),
    "torch.jit.load": ("torch.jit", "load", (text(MARKER),)),
    "torch.save": ("torch", "save", (number(1), text(MARKER))),
    "torch.serialization._load": ("torch.serialization", "_load", (text(MARKER),)),
    "torch inline code": ("torch.utils.cpp_extension", "load_inline", (text("a"), text("b"))),
    "numpy.load": ("numpy", "load", (text(MARKER),)),
    "numpy.save": ("numpy", "save", (text(MARKER), number(1))),
    "numpy runstring": ("numpy.testing._private.utils", "runstring", (text(CODE), dictionary())),
    "numpy objects": ("numpy.core.multiarray", "_reconstruct", (named("numpy", "ndarray"), tuple_of(), blob(b"b"))),
    "importlib.import_module": ("importlib", "import_module", (text("antigravity"),)),
    "ctypes.CDLL": ("ctypes", "CDLL", (text("libc.so.6"),)),
    "types.FunctionType": ("types", "FunctionType", (b"N", dictionary())),
    "pickle.loads": ("pickle", "loads", (blob(b"cos\nsystem\n" + text(TOUCH) + b"\x85R."),)),
    "marshal.loads": ("marshal", "loads", (blob(b"c"),)),
    "shutil.rmtree": ("shutil", "rmtree", (text(MARKER),)),
    "pathlib.Path": ("pathlib", "PosixPath", (text(MARKER),)),
    "socket.socket": ("socket", "socket", ()),
    "an import that acts": ("antigravity", "geohash", ()),
    "persistence's own loader": ("torch_utils.persistence", "_src_to_module", (text(CODE),)),
    "dnnlib's caller by name": ("dnnlib.util", "call_func_by_name", (text("os.system"), text(TOUCH))),
    "dnnlib's downloader": ("dnnlib.util", "open_url", (text("http://127.0.0.1:9/"),)),
    "a dotted name": ("os", "path.os.system", (text(TOUCH),)),
    "a name below an allowed one": ("collections", "OrderedDict.fromkeys", (tuple_of(text("a")),)),
}

_FUNCTION = named("os", "system")
_LARGE = struct.pack("<Q", 1 << 40)


def cases() -> dict[str, bytes]:
    """{name: file}; each has to be refused in one line, with nothing done."""
    found = {f"call {name}": pickled(call(*where, *arguments)) for name, (*where, arguments) in GADGETS.items()}
    return found | _by_opcodes() | _by_structure() | _by_tensors() | _damaged()


def _by_opcodes() -> dict[str, bytes]:
    arguments = tuple_of(text(TOUCH))
    bodies = {
        "REDUCE of a name on the stack": on_stack("os", "system") + arguments + b"R",
        "NEWOBJ": _FUNCTION + arguments + b"\x81",
        "NEWOBJ_EX": _FUNCTION + arguments + b"}\x92",
        "OBJ": b"(" + _FUNCTION + text(TOUCH) + b"o",
        "INST": b"(" + text(TOUCH) + b"ios\nsystem\n",
        "EXT1": b"\x82\x01",
        "EXT2": b"\x83\x01\x00",
        "EXT4": b"\x84\x01\x00\x00\x00",
        "PERSID": b"Pos.system\n",
        "BINPERSID": tuple_of(text("storage"), _FUNCTION) + b"Q",
        "a name alone": _FUNCTION,
        "BUILD with a state": module() + dictionary(__class__=text("x")) + b"b",
        "BUILD of a dictionary": dictionary() + dictionary(__setstate__=text("x")) + b"b",
        "BUILD with slots": named("torch.nn.modules.container", "Sequential") + b")\x81" + tuple_of(b"N", b"}") + b"b",
        "DUP": text("a") + b"2",
        "BYTEARRAY8": b"\x96" + struct.pack("<Q", 1) + b"a",
        "NEXT_BUFFER": b"\x97",
        "LONG4": b"\x8b" + struct.pack("<I", 4) + b"aaaa",
        "a call of a call": call("collections", "OrderedDict") + b")R",
        "a call of a module": module() + b")R",
        "a call without a tuple": named("collections", "OrderedDict") + text("a") + b"R",
        "a call of a text": text("os.system") + arguments + b"R",
    }
    return {name: pickled(body) for name, body in bodies.items()}


def _by_structure() -> dict[str, bytes]:
    itself = b"]q\x00h\x00a"
    loop = module(_modules=dictionary(a=b"N"))
    deep = module()
    for _ in range(40):
        deep = module(_modules=dictionary(a=deep))
    bodies = {
        "a list in itself": itself,
        "a tuple that doubles as a key": b"}" + laughs(60, b")", lambda one: one + one + b"\x86") + b"N" + b"s",
        "lists that double": laughs(120, b"]", lambda one: b"](" + one + one + b"e"),
        "a set of what doubles": b"\x8f(" + laughs(60, b")", lambda one: one + one + b"\x86") + b"\x90",
        "lists in lists": b"]" * 20_000 + b"a" * 19_999,
        "tuples in tuples": b")" + b"\x85" * 20_000,
        "no network": dictionary(G=text("a")),
        "no dictionary": text("a"),
        "a number for G": dictionary(G=number(1), D=number(2), G_ema=number(3)),
        "a name that is damaged": dictionary(G=module(_modules=dictionary(**{"a.b\n": module()}))),
        "a key that is a list": b"}]Ns",
        "an odd number of items": b"}(" + text("a") + b"u",
        "what was never remembered": b"h\x07",
        "numpy's objects": call("numpy.core.multiarray", "scalar", _dtype("O8"), blob(b"cos\nsystem\n")),
        "a number of wrong length": call("numpy.core.multiarray", "scalar", _dtype("f8"), blob(b"abc")),
        "a state for a number's type": _dtype("f8") + tuple_of(number(3)) + b"b" + b")R",
        "a persistent object of another kind": call(*PERSISTENT, text(CODE)),
        "a dictionary's items that call": call("collections", "OrderedDict", _FUNCTION),
    }
    files = {name: pickled(body) for name, body in bodies.items()}
    files["modules in modules"] = network(G_ema=deep)
    files["a network in itself"] = pickled(
        loop.replace(b"N", b"N", 1) + b"q\x000" + dictionary(G=b"h\x00", D=module("Discriminator"), G_ema=b"h\x00")
    )
    files["a network without tensors"] = network()
    files["impossible attributes"] = network(G_ema=module(z_dim=text("a"), c_dim=b"\x88", img_resolution=number(-4)))
    files["a huge network of nothing"] = network(
        G_ema=module(z_dim=number(1), c_dim=number(0), w_dim=number(1), img_resolution=number(1 << 30))
    )
    return files


def _dtype(code: str) -> bytes:
    return call("numpy", "dtype", text(code), b"\x89", b"\x88")


def _by_tensors() -> dict[str, bytes]:
    two = tuple_of(number(1 << 16), number(1 << 14))
    nested = b"cos\nsystem\n" + text(TOUCH) + b"\x85R."
    again = call("torch.storage", "_load_from_bytes", blob(storage(1000))) + b"q\x000"
    view = (b"h\x00", b"K\x00", b"M\xe8\x03\x85", b"K\x01\x85", b"\x89", b"N")
    many = (call("torch._utils", "_rebuild_tensor_v2", *view) + b"0") * 400
    return {
        "4 GB claimed": with_tensor(tensor(storage(4, claims=1 << 30))),
        "4 GB by a shape": with_tensor(tensor(shape=two, strides=tuple_of(number(1 << 14), number(1)))),
        "4 GB by strides of 0": with_tensor(tensor(shape=two, strides=tuple_of(number(0), number(0)))),
        "a negative stride": with_tensor(tensor(strides=number(-1) + b"\x85")),
        "a negative size": with_tensor(tensor(shape=number(-4) + b"\x85")),
        "a stride beyond": with_tensor(tensor(strides=b"K\x02\x85")),
        "an offset beyond": with_tensor(tensor(offset=b"K\x01")),
        "a huge offset": with_tensor(tensor(offset=long(1 << 62))),
        "a size that is a truth": with_tensor(tensor(shape=b"\x88\x85")),
        "a size that is a fraction": with_tensor(tensor(shape=b"G" + struct.pack(">d", 4.0) + b"\x85")),
        "nine dimensions": with_tensor(tensor(shape=tuple_of(*[b"K\x01"] * 9), strides=tuple_of(*[b"K\x01"] * 9))),
        "more strides than sizes": with_tensor(tensor(strides=b"K\x01K\x01\x86")),
        "a storage cut short": with_tensor(tensor(storage()[:-3])),
        "a storage with more behind it": with_tensor(tensor(storage() + b"abcd")),
        "a storage that is a program": with_tensor(tensor(nested)),
        "a storage of another kind": with_tensor(tensor(storage(kind=_FUNCTION))),
        "a storage of a class of torch": with_tensor(tensor(storage(kind=named("torch", "load")))),
        "a storage saved whole": with_tensor(tensor(torch_saved({"a": torch.zeros(3)}))),
        "a program behind a magic number": with_tensor(tensor(pickle.dumps(0x1950A86A20F9469CFC6C, 2) + nested)),
        "no storage": with_tensor(call("torch._utils", "_rebuild_tensor_v2", *[number(1)] * 6)),
        "a parameter of nothing": with_tensor(call("torch._utils", "_rebuild_parameter", text("a"), b"\x89", b"N")),
        "hooks that call": with_tensor(tensor()[:-2] + call("os", "system", text(TOUCH)) + b"tR"),
        "a tensor that is a text": with_tensor(text("a")),
        "one storage many times": pickled(again + many + b"N"),
        "numbers that are none": with_tensor(tensor(storage(data=struct.pack("<4f", 1, 2, 3, float("nan"))))),
    }  # fmt: skip


def _damaged() -> dict[str, bytes]:
    whole = network()
    return {
        "empty": b"",
        "a protocol and no more": b"\x80\x04",
        "a protocol that does not exist": b"\x80\xff" + whole[2:],
        "an end at once": b"\x80\x04.",
        "a mark at the end": b"\x80\x04(.",
        "cut short": whole[: len(whole) // 2],
        "without an end": whole[:-1],
        "bytes of 2^40": b"\x80\x04\x8e" + _LARGE + b"abc.",
        "a text of 2^40": b"\x80\x04\x8d" + _LARGE + b"abc.",
        "a frame of 2^40": b"\x80\x04\x95" + _LARGE + whole[2:-1],
        "a place of 2^32 - 1": pickled(b"Nr\xff\xff\xff\xff" + b"j\x00\x00\x00\x00"),
        "digits without end": pickled(b"I" + b"9" * 10_000 + b"\n"),
        "an escape that is none": pickled(b"S'\\xzz'\n"),
        "a text that is none": pickled(b"X\x02\x00\x00\x00\xff\xfe"),
        "unknown opcodes": b"\x80\x04\xff\xfe\xfd",
        "zeros": bytes(1000),
        "letters": b"not a pickle at all\n" * 20,
    }
