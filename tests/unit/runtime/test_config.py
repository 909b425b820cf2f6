import pytest

from pmp_runtime.config import ConfigError, choice, count, number, require


def test_required_variables_come_in_order():
    assert require({"A": "1", "B": "2"}, "B", "A") == ("2", "1")


def test_all_that_is_missing_is_named_at_once():
    with pytest.raises(ConfigError, match=r"^unset: B, C$"):
        require({"A": "1", "B": ""}, "A", "B", "C")


@pytest.mark.parametrize("read", [number, count])
def test_a_number_has_a_default_where_it_is_unset_or_empty(read):
    assert (read({}, "N", 7), read({"N": ""}, "N", 7), read({"N": "8"}, "N", 7)) == (7, 7, 8)


@pytest.mark.parametrize("value", ["x", "0", "-1", "nan", "inf", "-inf", "1,5"])
@pytest.mark.parametrize("read", [number, count])
def test_what_is_no_positive_number_is_refused(read, value):
    with pytest.raises(ConfigError, match=r"^N: not a positive"):
        read({"N": value}, "N", 1)


@pytest.mark.parametrize("value", ["1.5", "1e3", "٣", "9" * 5000])
def test_a_count_is_plain_digits(value):
    with pytest.raises(ConfigError, match=r"^N: not a positive whole number"):
        count({"N": value}, "N", 1)


def test_a_choice_is_one_of_a_closed_set():
    assert choice({}, "C", "a", ("a", "b")) == "a"
    assert choice({"C": "b"}, "C", "a", ("a", "b")) == "b"
    with pytest.raises(ConfigError, match=r"^C: 'c' is not one of a, b$"):
        choice({"C": "c"}, "C", "a", ("a", "b"))
