"""Texts of visitors in Markdown."""

import pytest

from studio.words import plain


@pytest.mark.parametrize("text", ["learning_rate = 3: must be less", "TTv2, seed 1", "10:30", "w: x", "a - b", "5 > 3"])
def test_ordinary_words_stay_as_they_are(text):
    assert plain(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("*a* _b_ `c` $d$", r"\*a\* \_b\_ \`c\` \$d\$"),
        (":red[x] :material/home:", r"\:red\[x\] \:material/home:"),
        ("# head\n- item", "\\# head\n\\- item"),
        ("[a](b) ~c~ \\d", r"\[a\](b) \~c\~ \\d"),
    ],
)
def test_marks_are_shown(text, shown):
    assert plain(text) == shown
