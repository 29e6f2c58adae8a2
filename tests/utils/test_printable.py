import pytest

from textvae.utils.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a dress, 狗, Ünïcode 👩\u200d🔬", "a dress, 狗, Ünïcode 👩\u200d🔬"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\x9b31m red\r\n", "\\x9b31m red\\x0d\\x0a"),
        ("gpj\u202e.exe", "gpj\\u202e.exe"),
        ("caf\udce9", "caf\\udce9"),
        ("a\u2028b", "a\\u2028b"),
    ],
)
def test_what_controls_a_terminal_is_escaped(text, shown):
    assert printable(text) == shown
    assert printable(text).encode()
