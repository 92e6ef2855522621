"""Which tokens are drawn, and which a prompt becomes."""

from pathlib import Path

import pytest

from tests.tiny_model import write_tiny_model

torch = pytest.importorskip("torch")


def test_choose__a_long_tail_of_unlikely_tokens__is_never_drawn() -> None:
    from viz_node.models.inference import _choose

    logits = torch.full((1000,), 0.0)
    logits[7], logits[8] = 4.0, 3.5
    generator = torch.Generator().manual_seed(0)
    drawn = {_choose(logits, 1.0, generator) for _ in range(300)}
    assert drawn == {7, 8}
    assert _choose(logits, 0.0, generator) == 7


def test_generate__marks_in_the_prompt__are_characters(tmp_path: Path) -> None:
    from viz_node.models.inference import generate
    from viz_node.models.loading import load_base, load_tokenizer

    write_tiny_model(tmp_path)
    model, tokenizer = load_base(tmp_path).eval(), load_tokenizer(tmp_path)
    result = generate(model, tokenizer, "<s>a</s>", 1, (0.0, 0), lambda _: None)
    assert result.prompt_tokens == 1 + len("<s>a</s>")
