"""Text of others, made safe to print: file names, captions and settings can hold codes that control a terminal."""

import unicodedata

_HARMLESS = "\t\u200c\u200d"
"""Tabs, and zero-width characters that some scripts and emoji need."""


def printable(text: str) -> str:
    r"""Text with each control, format, separator and surrogate character escaped, as ``\x1b`` or ``\u202e``.

    What is left can be encoded as UTF-8, takes one line, and neither colours a terminal nor reverses its text.
    """
    if text.isprintable():
        return text
    return "".join(_escaped(c) if _controls(c) else c for c in text)


def printable_lines(text: str) -> str:
    """Each line of a text, ``printable``."""
    return "\n".join(map(printable, text.split("\n")))


def _controls(character: str) -> bool:
    return character not in _HARMLESS and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _escaped(character: str) -> str:
    return (
        character.encode("ascii", "backslashreplace").decode() if ord(character) > 127 else f"\\x{ord(character):02x}"
    )
