import gzip
import io
import pickle
import struct
import tarfile

import numpy as np
import pytest

from tests.training.data_samples import encoded, picture, write_folder
from tests.training.tool import contents, convert, images, refused


def test_max_images(tmp_path):
    photos = write_folder(tmp_path / "photos", {f"{name}.png": picture(i) for i, name in enumerate("abc")})
    convert(photos, tmp_path / "out.zip", "--max-images=2")
    assert len(images(tmp_path / "out.zip")) == 2


def test_lsun_lmdb(tmp_path):
    lmdb = pytest.importorskip("lmdb")
    path = tmp_path / "cat_lmdb"
    with lmdb.open(str(path), map_size=1 << 20) as database, database.begin(write=True) as transaction:
        for i in range(3):
            transaction.put(f"{9 - i:040x}".encode(), encoded(picture(i, 16), "webp", lossless=True))
        transaction.put(b"f" * 40, b"no image")
    output = convert(path, tmp_path / "out.zip")
    assert "f" * 40 in output
    assert "1 damaged skipped" in output
    for found, i in zip(images(tmp_path / "out.zip"), (2, 1, 0), strict=True):  # in the order of keys
        np.testing.assert_array_equal(found, np.asarray(picture(i, 16)))
    convert(path, tmp_path / "one.zip", "--max-images=1")
    assert len(images(tmp_path / "one.zip")) == 1


@pytest.mark.parametrize("content", [None, b"garbage" * 1000])
def test_broken_lmdb(tmp_path, content):
    pytest.importorskip("lmdb")
    (tmp_path / "cat_lmdb").mkdir()
    if content:
        (tmp_path / "cat_lmdb" / "data.mdb").write_bytes(content)
    assert "LMDB" in refused(f"--source={tmp_path / 'cat_lmdb'}", f"--dest={tmp_path / 'out.zip'}")


def write_cifar(path, batches):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in batches.items():
            data = content if isinstance(content, bytes) else pickle.dumps(content, protocol=2)
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def cifar_batch(seed, count=3, binary_keys=False):
    pixels = np.random.default_rng(seed).integers(0, 256, size=(count, 3072), dtype=np.uint8)
    batch = {"data": pixels, "labels": [(seed + i) % 10 for i in range(count)]}
    return {key.encode(): value for key, value in batch.items()} if binary_keys else batch


@pytest.mark.parametrize("binary_keys", [False, True])
def test_cifar10(tmp_path, binary_keys):
    batches = {f"data_batch_{i}": cifar_batch(i, binary_keys=binary_keys) for i in (1, 2)}
    names = [f"class{i}" for i in range(10)]
    extra = {"test_batch": cifar_batch(9), "batches.meta": {"label_names": names}, "readme.html": b"hello"}
    source = write_cifar(tmp_path / "cifar-10-python.tar.gz", {**batches, **extra})
    assert "6 images, 32x32, RGB, 4 classes" in convert(source, tmp_path / "out.zip")
    metadata = contents(tmp_path / "out.zip")[1]
    assert metadata["classes"] == names
    assert [label for _, label in metadata["labels"]] == [1, 2, 3, 2, 3, 4]
    expected = cifar_batch(1)["data"][0].reshape(3, 32, 32).transpose(1, 2, 0)
    np.testing.assert_array_equal(images(tmp_path / "out.zip")[0], expected)


class _Payload:
    def __reduce__(self):
        return print, ("this must not run",)


def test_a_cifar_archive_runs_no_code(tmp_path, capsys):
    source = write_cifar(tmp_path / "cifar-10-python.tar.gz", {"data_batch_1": {"data": _Payload()}})
    message = refused(f"--source={source}", f"--dest={tmp_path / 'out.zip'}")
    assert "print" in message
    assert "must not run" not in capsys.readouterr().out


@pytest.mark.parametrize("batches", [{}, {"data_batch_1": b"garbage"}, {"data_batch_1": {"labels": []}}])
def test_broken_cifar10(tmp_path, batches):
    source = write_cifar(tmp_path / "cifar-10-python.tar.gz", batches)
    assert "CIFAR-10" in refused(f"--source={source}", f"--dest={tmp_path / 'out.zip'}")
    source.write_bytes(source.read_bytes()[:40])
    assert "CIFAR-10" in refused(f"--source={source}", f"--dest={tmp_path / 'out.zip'}")


def write_mnist(folder, pixels, labels=None):
    images_path = folder / "train-images-idx3-ubyte.gz"
    images_path.write_bytes(gzip.compress(struct.pack(">4I", 0x803, *pixels.shape) + pixels.tobytes()))
    if labels is not None:
        data = struct.pack(">2I", 0x801, len(labels)) + bytes(labels)
        (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(data))
    return images_path


@pytest.fixture
def digits():
    return np.random.default_rng(0).integers(1, 256, size=(4, 28, 28), dtype=np.uint8)


def test_mnist(tmp_path, digits):
    output = convert(write_mnist(tmp_path, digits, [7, 0, 7, 9]), tmp_path / "out.zip")
    assert "4 images, 32x32, grey, 3 classes" in output
    assert [label for _, label in contents(tmp_path / "out.zip")[1]["labels"]] == [7, 0, 7, 9]
    [found, *_] = images(tmp_path / "out.zip")
    np.testing.assert_array_equal(found[2:30, 2:30], digits[0])
    assert found.sum() == digits[0].sum()


def test_mnist_without_labels_says_so(tmp_path, digits):
    output = convert(write_mnist(tmp_path, digits), tmp_path / "out.zip")
    assert "train-labels-idx1-ubyte.gz" in output
    assert contents(tmp_path / "out.zip")[1] == {"labels": None}


def test_broken_mnist(tmp_path, digits):
    source = write_mnist(tmp_path, digits, [1, 2, 3])
    command = f"--source={source}", f"--dest={tmp_path / 'out.zip'}"
    assert "3 labels for 4 images" in refused(*command)
    whole = gzip.decompress(source.read_bytes())
    for data in (gzip.compress(whole[:-5]), gzip.compress(b""), source.read_bytes()[:-20], b"no gzip"):
        source.write_bytes(data)
        assert "damaged" in refused(*command)
    source.write_bytes(gzip.compress(b"\0" * 100))
    assert "no MNIST file" in refused(*command)


def test_unknown_sources(tmp_path):
    dest = f"--dest={tmp_path / 'out.zip'}"
    (tmp_path / "a.rar").write_bytes(b"")
    (tmp_path / "a.zip").write_bytes(b"no zip")
    (tmp_path / "empty").mkdir()
    assert "does not exist" in refused(f"--source={tmp_path / 'none'}", dest)
    assert "no known kind" in refused(f"--source={tmp_path / 'a.rar'}", dest)
    assert "zip archive" in refused(f"--source={tmp_path / 'a.zip'}", dest)
    assert "no image files" in refused(f"--source={tmp_path / 'empty'}", dest)
    assert "--source" in refused(dest)
    assert "--dest" in refused(f"--source={tmp_path}")
