"""Which tokens are drawn: never an unlikely one, and the likeliest at temperature 0."""

import pytest

torch = pytest.importorskip("torch")


def test_choose__a_long_tail_of_unlikely_tokens__is_never_drawn() -> None:
    from viz_node.models.inference import _choose

    logits = torch.full((1000,), 0.0)
    logits[7], logits[8] = 4.0, 3.5
    generator = torch.Generator().manual_seed(0)
    drawn = {_choose(logits, 1.0, generator) for _ in range(300)}
    assert drawn == {7, 8}
    assert _choose(logits, 0.0, generator) == 7
