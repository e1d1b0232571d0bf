import pytest

from buildkit_operator.admission import cel


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("plain", "'plain'"),
        ('a "name"', "'a \"name\"'"),
        ("the builder's", '"the builder\'s"'),
        ('the "builder\'s"', '"the \\"builder\'s\\""'),
        ("a\\b\nc", "'a\\\\b\\nc'"),
    ],
)
def test_a_text_is_quoted_with_as_little_escaping_as_possible(text: str, literal: str) -> None:
    assert cel.literal(text) == literal


def test_a_sentence_is_put_together_from_its_parts() -> None:
    assert cel.sentence("{a} is {b}.", {"a": "x.name", "b": "y"}) == "x.name + ' is ' + y + '.'"


def test_a_part_of_several_lines_is_indented_like_its_line() -> None:
    assert cel.expression("\n  all(\n    $part)\n", part="a\n&& b") == "all(\n  a\n  && b)"


def test_a_constant_stands_for_its_value() -> None:
    assert cel.expression("'$BUILDER_LABEL' in x") == "'buildkit-operator.dev/builder' in x"


def test_a_name_that_nobody_gave_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        cel.expression("$missing")
