"""Which tokens are drawn, and which a prompt becomes."""

from pathlib import Path

import pytest

from tests.tiny_model import write_tiny_model
from viz_node.domain.sampling import Sampling

torch = pytest.importorskip("torch")


def test_choose__a_long_tail_of_unlikely_tokens__is_never_drawn() -> None:
    from viz_node.models.inference import _choose

    logits = torch.full((1000,), 0.0)
    logits[7], logits[8] = 4.0, 3.5
    generator = torch.Generator().manual_seed(0)
    drawn = {_choose(logits, Sampling(temperature=1.0), generator) for _ in range(300)}
    assert drawn == {7, 8}
    assert _choose(logits, Sampling(temperature=0), generator) == 7


def test_generate__marks_in_the_prompt__are_characters(tmp_path: Path) -> None:
    from viz_node.models.inference import generate
    from viz_node.models.loading import load_base, load_tokenizer

    write_tiny_model(tmp_path)
    model, tokenizer = load_base(tmp_path).eval(), load_tokenizer(tmp_path)
    result = generate(model, tokenizer, "<s>a</s>", 1, Sampling(temperature=0), lambda _: None)
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
    written = generate(model, tokenizer, prompt, 6, Sampling(temperature=0), lambda _: None)
    with torch.no_grad():
        for _ in range(written.tokens):
            logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits
            ids.append(int(logits[0, -1].argmax()))
    assert written.text == tokenizer.decode(ids[written.prompt_tokens :], skip_special_tokens=True)
    assert written.tokens


@pytest.mark.parametrize("stop", [(), ("zz",), ("b",), ("bc", "d")])
def test_generate__stop_text__ends_before_it_and_every_piece_is_told(tmp_path: Path, stop: tuple[str, ...]) -> None:
    from viz_node.models.inference import generate
    from viz_node.models.loading import load_base, load_tokenizer

    write_tiny_model(tmp_path)
    model, tokenizer = load_base(tmp_path).eval(), load_tokenizer(tmp_path)
    pieces: list[str] = []
    usual = Sampling(temperature=5.0, min_p=0.0, seed=3)
    whole = generate(model, tokenizer, "a", 200, usual, lambda _: None).text
    result = generate(model, tokenizer, "a", 200, Sampling(5.0, 1.0, 0.0, 3, stop), pieces.append)
    ends = [place for text in stop if (place := whole.find(text)) >= 0]
    assert result.text == whole[: min(ends, default=len(whole))]
    assert "".join(pieces) == result.text
    assert not ends or result.finish_reason == "stop"


def test_generate__prompt_beyond_the_context__says_how_much_was_cut(tmp_path: Path) -> None:
    from viz_node.models.inference import generate
    from viz_node.models.loading import load_base, load_tokenizer

    write_tiny_model(tmp_path)
    model, tokenizer = load_base(tmp_path).eval(), load_tokenizer(tmp_path)
    context = model.config.max_position_embeddings
    result = generate(model, tokenizer, "a" * context, 5, Sampling(), lambda _: None)
    assert result.prompt_tokens == context - 5
    assert result.prompt_cut == context + 1 - result.prompt_tokens
    assert generate(model, tokenizer, "a", 5, Sampling(), lambda _: None).prompt_cut == 0


def test_choose__top_p__draws_among_the_likeliest_only() -> None:
    from viz_node.models.inference import _choose

    logits, generator = torch.tensor([0.5, 0.3, 0.15, 0.05]).log(), torch.Generator().manual_seed(0)
    drawn = {_choose(logits, Sampling(temperature=1, min_p=0, top_p=0.6), generator) for _ in range(200)}
    assert drawn == {0, 1}
    assert {_choose(logits, Sampling(temperature=1, min_p=0, top_p=0.01), generator) for _ in range(50)} == {0}
    assert {_choose(logits, Sampling(temperature=1, min_p=0), generator) for _ in range(500)} == {0, 1, 2, 3}
