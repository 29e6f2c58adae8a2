"""The papers that are reproduced: who wrote them, and where they are."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """A paper, as it is cited where its letter first stands for it on a page."""

    authors: tuple[str, ...]
    title: str
    date: str
    """Kind and year; the texts themselves are undated."""
    link: str
    """The authors' program; empty where none is known."""

    @property
    def citation(self) -> str:
        """Authors, title, year and link, in one line."""
        *others, last = self.authors
        names = f"{', '.join(others)} and {last}" if others else last
        return f'{names}, "{self.title}" ({self.date}{f", {self.link}" if self.link else ""})'

    @property
    def short(self) -> str:
        """The first author's last name, and the title."""
        first = self.authors[0].split()[-1] if len(self.authors) > 1 else self.authors[0]
        return f"{first}{' et al.' if len(self.authors) > 1 else ''}, {self.title}"


PAPERS = {
    "a": Paper(
        ("Chengkun Yang", "Yixuan Yang", "Qinmeng Yu", "Kechao Lu"),
        "MS-CoCo and MNIST Image Generation with Conditional VAE",
        "course report, 2025",
        "https://github.com/YeungYathin/Deep-Learning-Project",
    ),
    "b": Paper(
        ("Anonymous authors",),
        "Conditional VAE for Text to Image Generation Using Short-Text and Long-Text Synthesis",
        "submission under review, undated, cites works up to 2024",
        "",
    ),
    "c": Paper(
        ("Ariana Azarbal", "Ayman Benjelloun Touimi", "Sofia Tazi"),
        "Generative CLIP-Conditioned Variational Autoencoder",
        "undated, cites works up to 2022",
        "https://github.com/ayma-n/dl-fp",
    ),
    "d": Paper(
        ("Nicolas Angelard-Gontier", "Joshua Romoff", "Prasanna Parthasarathi"),
        "Variational Encoder Decoder for Image Generation Conditioned on Captions",
        "2017",
        "https://github.com/ppartha03/PGM-Project",
    ),
}
"""By the letter that this project calls them."""
