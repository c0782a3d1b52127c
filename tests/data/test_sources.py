"""Digits, CIFAR-10, image folders and the user's own data: what is read, and what a wrong name gets."""

import sys
import textwrap

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from secateurs.data import IMAGENET, DataSource, Normalisation, batches, resolve_data
from secateurs.data.source import split
from secateurs.errors import InputError


def test_parts_of_the_training_set_never_meet():
    source = DataSource("d", TensorDataset(torch.arange(103)), TensorDataset(torch.arange(5)))
    pairs = [(n, seed) for n in (1, 20, 500) for seed in (0, 1, 7)]
    calibration = {i for n, seed in pairs for i in source.calibration(n, seed).indices}
    aside = {i for n, seed in pairs for i in source.holdout(n, seed).indices}
    assert not calibration & aside
    assert calibration | aside == set(range(103))
    assert len(aside) == 20


def test_same_seed_same_samples():
    source = resolve_data("digits")
    first = source.calibration(50, seed=3).indices
    assert first == resolve_data("digits").calibration(50, seed=3).indices
    assert len(set(first)) == 50
    assert first != source.calibration(50, seed=4).indices
    with pytest.raises(InputError, match="at least 1, got 0"):
        source.calibration(0)


def test_split_takes_a_fifth_of_every_class():
    labels = np.random.RandomState(0).randint(0, 7, 1000)
    train, test = split(labels)
    assert sorted([*train, *test]) == list(range(1000))
    for k in range(7):
        assert abs((labels[test] == k).sum() - (labels == k).sum() / 5) <= 1


def test_digits_against_the_stored_images():
    from sklearn.datasets import load_digits

    source = resolve_data("digits")
    stored = {
        image.tobytes(): label
        for image, label in zip(load_digits().images, load_digits().target, strict=True)
    }
    for part in (source.train, source.test):
        pixels = (part.batch(range(len(part)))[0] * 0.376 + 0.305) * 16
        for image, label in zip(pixels.round().double().numpy(), part.labels, strict=True):
            assert stored[image.tobytes()] == label
    images = source.train.batch(range(len(source.train)))[0]
    assert abs(float(images.mean())) < 0.01
    assert abs(float(images.std()) - 1) < 0.01


def test_whole_batches_are_single_samples():
    source = resolve_data("digits", normalisation=Normalisation((0.5,), (0.25,)))
    part = source.calibration(20)
    (got,) = batches(part, 100)
    for k in range(20):
        image, label = part[k]
        assert torch.equal(got[0][0][k], image)
        assert int(got[1][k]) == label
    loader = DataLoader(source.train, batch_size=16)
    inputs, labels = next(iter(loader))
    assert torch.equal(inputs, source.train.batch(range(16))[0])
    assert labels.dtype == torch.int64


def test_cifar10_against_the_bytes(cifar10):
    source = resolve_data(f"cifar10:{cifar10}")
    assert (len(source.train), len(source.test)) == (50_000, 10_000)
    assert source.classes[:2] == ("airplane", "automobile")
    record = np.fromfile(cifar10 / "data_batch_3.bin", dtype=np.uint8)[17 * 3073 : 18 * 3073]
    image, label = source.train[20_017]
    assert label == record[0]
    pixels = torch.from_numpy(record[1:].astype(np.float32)).view(3, 32, 32)
    for c in range(3):
        torch.testing.assert_close(image[c], (pixels[c] / 255 - IMAGENET.mean[c]) / IMAGENET.std[c])
    assert np.array_equal(np.bincount(source.test.labels), [1000] * 10)
    assert resolve_data(f"cifar10:{cifar10.parent}").test[5][1] == source.test[5][1]


def write_cifar(folder, label=3, size=30_730_000):
    for name in [f"data_batch_{k}.bin" for k in range(1, 6)] + ["test_batch.bin"]:
        with (folder / name).open("wb") as file:
            file.truncate(size)  # zeros, which take no space
            file.write(bytes([label]))
    return folder


def test_cifar10_of_zeros(tmp_path):
    source = resolve_data(
        f"cifar10:{write_cifar(tmp_path)}", normalisation=Normalisation((0.5,) * 3, (0.5,) * 3)
    )
    assert [source.test[0][1], source.test[1][1]] == [3, 0]
    assert float(source.train[49_999][0].max()) == -1.0


def test_cifar10_that_is_wrong(tmp_path):
    with pytest.raises(InputError, match="does not hold CIFAR-10"):
        resolve_data(f"cifar10:{tmp_path}")
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").touch()
    with pytest.raises(InputError, match="Python version, which is made of pickles"):
        resolve_data(f"cifar10:{tmp_path}")
    write_cifar(tmp_path, label=11)
    with pytest.raises(InputError, match=r"data_batch_1.bin' holds the label 11"):
        resolve_data(f"cifar10:{tmp_path}")
    write_cifar(tmp_path, size=30_000_000)
    with pytest.raises(InputError, match=r"data_batch_1.bin' has 30,000,000 bytes, .*30,730,000: truncated"):
        resolve_data(f"cifar10:{tmp_path}")
    (tmp_path / "data_batch_4.bin").unlink()
    with pytest.raises(InputError, match=r"lacks data_batch_4.bin\."):
        resolve_data(f"cifar10:{tmp_path}")


@pytest.fixture
def image():
    pillow = pytest.importorskip("PIL.Image")

    def save(path, size=(40, 30), colour=(255, 0, 0)):
        path.parent.mkdir(parents=True, exist_ok=True)
        pillow.new("RGB", size, colour).save(path)

    return save


def test_imagefolder_with_two_parts(tmp_path, image):
    for k in range(3):
        image(tmp_path / "train" / "cat" / f"{k}.png")
        image(tmp_path / "train" / "dog" / "deep" / f"{k}.png", colour=(0, 0, 255))
    image(tmp_path / "val" / "dog" / "x.PNG", colour=(0, 0, 255))
    (tmp_path / "train" / "cat" / "notes.txt").touch()
    plain = Normalisation((0.0,) * 3, (1.0,) * 3)
    source = resolve_data(f"imagefolder:{tmp_path}", normalisation=plain, input_shape=(3, 16, 24))
    assert source.classes == ("cat", "dog")
    assert (len(source.train), len(source.test)) == (6, 1)
    pixels, label = source.test[0]
    assert label == 1
    assert torch.equal(pixels, torch.tensor([0.0, 0.0, 1.0]).view(3, 1, 1).expand(3, 16, 24))
    inputs, labels = source.train.batch([0, 5])
    assert labels.tolist() == [0, 1]
    assert inputs[:, :, 0, 0].tolist() == [[1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("inside", ["", "val", "train"])
def test_imagefolder_with_one_part_is_split(tmp_path, image, inside):
    for k in range(10):
        image(tmp_path / inside / f"class{k}" / "only.png", colour=(10 * k, 0, 0))
    source = resolve_data(f"imagefolder:{tmp_path}", input_shape=(3, 8, 8))
    assert (len(source.train), len(source.test)) == (8, 2)
    assert not set(source.train.files) & set(source.test.files)
    assert resolve_data(f"imagefolder:{tmp_path}").test.files == source.test.files
    assert len(source.classes) == 10


def test_resize_and_centre_crop_follow_the_usual_recipe(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    transforms = pytest.importorskip("torchvision.transforms")
    noise = np.random.RandomState(0).randint(0, 255, (300, 500, 3), dtype=np.uint8)
    for k in range(5):
        (tmp_path / "a").mkdir(exist_ok=True)
        pillow.fromarray(noise).save(tmp_path / "a" / f"{k}.png")
    source = resolve_data(f"imagefolder:{tmp_path}")
    usual = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()])
    wanted = transforms.Normalize(IMAGENET.mean, IMAGENET.std)(usual(pillow.fromarray(noise)))
    torch.testing.assert_close(source.test[0][0], wanted, atol=0.02, rtol=0)


def test_image_of_the_right_size_is_taken_as_it_is(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    noise = np.random.RandomState(0).randint(0, 255, (32, 32), dtype=np.uint8)
    (tmp_path / "a").mkdir()
    for k in range(5):
        pillow.fromarray(noise).save(tmp_path / "a" / f"{k}.png")
    plain = Normalisation((0.0,), (1.0,))
    source = resolve_data(f"imagefolder:{tmp_path}", normalisation=plain, input_shape=(1, 32, 32))
    torch.testing.assert_close(source.test[0][0][0], torch.from_numpy(noise.astype(np.float32)) / 255)


def test_imagefolder_that_is_wrong(tmp_path, image):
    spec = f"imagefolder:{tmp_path}"
    with pytest.raises(InputError, match="holds no images in class folders"):
        resolve_data(spec)
    image(tmp_path / "a" / "1.png")
    with pytest.raises(InputError, match="holds 1 images; at least 5"):
        resolve_data(spec)
    for k in range(9):
        image(tmp_path / "a" / f"{k}.png")
    with pytest.raises(InputError, match=r"\(1 or 3, height, width\), the model takes \(4, 8, 8\)"):
        resolve_data(spec, input_shape=(4, 8, 8))
    with pytest.raises(InputError, match="have 1 channels, the normalisation of the model is for 3"):
        resolve_data(spec, input_shape=(1, 8, 8), normalisation=IMAGENET)
    for file in (tmp_path / "a").iterdir():
        file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(InputError, match=r"The image '.*png' cannot be read"):
        resolve_data(spec).train[0]
    (tmp_path / "b").mkdir()
    with pytest.raises(InputError, match=r"1 class folders in .* hold no images \(b\)"):
        resolve_data(spec)


def test_test_part_with_a_class_of_its_own(tmp_path, image):
    for part, name in (("train", "cat"), ("test", "cat"), ("test", "emu")):
        image(tmp_path / part / name / "1.png")
    with pytest.raises(InputError, match="classes that the training part has not: emu"):
        resolve_data(f"imagefolder:{tmp_path}")


def test_imagefolder_without_pillow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(InputError, match="pip install pillow"):
        resolve_data(f"imagefolder:{tmp_path}")


@pytest.fixture
def own_data(tmp_path, monkeypatch):
    code = """
        import torch
        from torch.utils.data import DataLoader, TensorDataset
        X, Y = torch.arange(12.0).view(6, 2), torch.arange(6)
        def datasets(): return TensorDataset(X, Y), TensorDataset(X[:2], Y[:2])
        def loaders(): return DataLoader(datasets()[0], 4, shuffle=True), DataLoader(datasets()[1], 4)
        def doubled(): return [DataLoader(d, 4, collate_fn=lambda s: (2 * torch.stack([x for x, _ in s]),
                                                                      torch.stack([y for _, y in s]))) for d
                                                                      in datasets()]
        def lists(): return [(X[:4], Y[:4]), (X[4:], Y[4:])], [(X[:2], Y[:2])]
        def streams(): return ((X[k:k + 1], Y[k:k + 1]) for k in range(6)), [(X[:2], Y[:2])]
        def one(): return datasets()[0]
        def three(): return 1, 2, 3
        def numbers(): return 1, 2
        def broken(): raise OSError("no disk")
        value = 3
    """
    (tmp_path / "own_sets.py").write_text(textwrap.dedent(code))
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("own_sets", None)


@pytest.mark.usefixtures("own_data")
@pytest.mark.parametrize("form", ["datasets", "loaders", "doubled", "lists", "streams"])
def test_own_data_in_every_form(form):
    source = resolve_data(f"own_sets:{form}")
    scale = 2 if form == "doubled" else 1
    for part, n in ((source.train, 6), (source.test, 2)):
        got = list(batches(part, 4))
        assert torch.equal(torch.cat([x for (x,), _ in got]), scale * torch.arange(12.0).view(6, 2)[:n])
        assert torch.equal(torch.cat([y for _, y in got]), torch.arange(n))
    ((inputs,), labels) = next(batches(source.calibration(3)))
    assert torch.equal(inputs[:, 0], scale * 2.0 * labels)


@pytest.mark.usefixtures("own_data")
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("own_sets:one", r"gave a TensorDataset, not a pair \(train, test\)"),
        ("own_sets:three", r"gave a tuple of 3, not a pair \(train, test\)"),
        ("own_sets:numbers", "Data of type int cannot be read"),
        ("own_sets:broken", "failed with OSError: no disk"),
        ("own_sets:value", "is a int, not a function"),
        ("own_sets:nothing", "has no 'nothing'"),
        ("nowhere_sets:f", "cannot be found: 'nowhere_sets'"),
        ("cifar10:nowhere", "data folder 'nowhere' cannot be found"),
        ("imagefolder:nowhere", "data folder 'nowhere' cannot be found"),
        ("imagefolder:own_sets.py", "'own_sets.py' is not a folder"),
        ("cifar10", "write cifar10:PATH"),
        ("cifar10:", "write cifar10:PATH"),
        ("digits:here", "take no path"),
        ("mnist", "not known: write digits, cifar10:PATH"),
    ],
)
def test_wrong_names(spec, message):
    with pytest.raises(InputError, match=message):
        resolve_data(spec)


def test_data_for_another_model():
    with pytest.raises(InputError, match=r"inputs of shape \(1, 8, 8\), the model takes \(3, 32, 32\)"):
        resolve_data("digits", input_shape=(3, 32, 32))
    with pytest.raises(InputError, match="have 1 channels"):
        resolve_data("digits", normalisation=IMAGENET)


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ((0.1, 0.2), (0.1,), "2 means and 1 deviations"),
        ((), (), "0 means"),
        ((0.0,), (0.0,), "positive deviations"),
        ((float("nan"),), (1.0,), "finite means"),
    ],
)
def test_normalisations_that_are_wrong(mean, std, message):
    with pytest.raises(InputError, match=message):
        Normalisation(mean, std)
