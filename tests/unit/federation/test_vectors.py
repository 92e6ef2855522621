import numpy as np
import pytest

from viz_node.errors import UsageError, VerificationError
from viz_node.federation.vectors import Update, average, bounded_weight, check_distance, check_vector, vector_digest


def vector(*numbers):
    return np.array(numbers, dtype=np.float32)


def test_average__weights_above_the_cap__count_as_the_cap():
    updates = [Update("a", vector(1, 0), 3, 0.0), Update("b", vector(0, 1), 1_000_000, 0.0)]
    assert average(updates, cap=1).tolist() == [0.5, 0.5]
    assert average(updates, cap=9).tolist() == [0.25, 0.75]


def test_average__unequal_tokens__is_the_weighted_mean():
    updates = [Update("a", vector(1, 2, -3), 10, 0.0), Update("b", vector(4, 5, 6), 30, 0.0)]
    result = average(updates, cap=1000)
    assert result.dtype == np.float32
    assert result.tolist() == [3.25, 4.25, 3.75]


def test_average__no_updates__is_refused():
    with pytest.raises(UsageError):
        average([], cap=1)


@pytest.mark.parametrize(
    "array",
    [
        [1.0, 2.0],
        np.zeros(2, dtype=np.float64),
        np.zeros(3, dtype=np.float32),
        np.zeros((2, 1), dtype=np.float32),
        vector(1, float("nan")),
        vector(float("inf"), 0),
    ],
)
def test_check_vector__wrong_type_shape_or_numbers__is_refused(array):
    with pytest.raises(VerificationError):
        check_vector(array, 2)


def test_check_vector__good_vector__is_returned_unchanged():
    good = vector(1, 2)
    assert check_vector(good, 2) is good


def test_check_distance__limit__is_per_number_and_independent_of_size():
    for size in (1, 10_000):
        start = np.ones(size, dtype=np.float32)
        assert check_distance(start + np.float32(0.5), start, 0.5) == pytest.approx(0.5)
        with pytest.raises(VerificationError):
            check_distance(start + np.float32(0.6), start, 0.5)


def test_bounded_weight__no_tokens__is_refused():
    assert bounded_weight(7, 5) == 5
    with pytest.raises(VerificationError):
        bounded_weight(0, 5)
    with pytest.raises(UsageError):
        bounded_weight(5, 0)


def test_vector_digest__one_bit_changed__differs():
    assert vector_digest(vector(1, 2)) == vector_digest(vector(1, 2))
    assert vector_digest(vector(1, 2)) != vector_digest(vector(1, 2.0000002))
