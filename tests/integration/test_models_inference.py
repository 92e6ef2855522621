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


@pytest.mark.parametrize("family", ["mamba2", "falcon_mamba", "recurrent_gemma", "gpt2"])
def test_generate__with_and_without_a_cache__as_read_anew_for_every_token(family: str, tmp_path: Path) -> None:
    from tests.model_families import write_family
    from viz_node.models.inference import generate
    from viz_node.models.loading import load_base, load_tokenizer

    write_tiny_model(tmp_path / "letters")
    write_family(family, tmp_path / "base")
    model, tokenizer = load_base(tmp_path / "base").eval(), load_tokenizer(tmp_path / "letters")
    prompt, ids = "the lamp", [tokenizer.bos_token_id, *tokenizer.encode("the lamp", add_special_tokens=False)]
    written = generate(model, tokenizer, prompt, 6, (0.0, 0), lambda _: None)
    with torch.no_grad():
        for _ in range(written.tokens):
            logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits
            ids.append(int(logits[0, -1].argmax()))
    assert written.text == tokenizer.decode(ids[written.prompt_tokens :], skip_special_tokens=True)
    assert written.tokens
