"""Foreign adapter folders, read without a model: what converts, what is refused, and at which cost."""

import json
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tests.unit.models.foreign_folders import CONFIG, LAYERS, hostile, matrices, write_folder
from viz_node.errors import VerificationError
from viz_node.models.adapter_files import check_adapter
from viz_node.models.importing.reading import inspect, read_foreign
from viz_node.models.importing.spectrum import concentration, honest_limit, measure

_SHORT = ("q_proj", "v_proj")


def _update(folder: Path, path: str, scale: float) -> np.ndarray:
    """scale * B A of a written folder's layer, in 64 bits."""
    from safetensors.numpy import load_file

    tensors = load_file(folder / "adapter_model.safetensors")
    a, b = (tensors[f"base_model.model.{path}.lora_{side}.weight"].astype(np.float64) for side in "AB")
    return scale * b @ a


def _converted(folder: Path, out: Path) -> tuple[Path, float]:
    """The folder in our form, checked as a stranger's would be, and its scale."""
    out.mkdir()
    with read_foreign(folder) as found:
        found.conversion.write(found.weights, out, _SHORT, "small")
    facts = check_adapter(out)
    return out, facts.alpha / facts.rank


@pytest.mark.parametrize(
    ("changes", "scales", "steps"),
    [
        ({}, (2.0, 2.0), 0),
        ({"lora_alpha": 16.0}, (2.0, 2.0), 0),
        ({"lora_alpha": 0.5}, (1 / 16, 1 / 16), 2),
        ({"use_rslora": True, "r": 4}, (8.0, 8.0), 1),
        ({"use_rslora": True}, (16 / 8**0.5, 16 / 8**0.5), 2),
        ({"lora_alpha": 8192}, (1024.0, 1024.0), 2),
        ({"alpha_pattern": {"v_proj": 32}}, (2.0, 4.0), 1),
        ({"alpha_pattern": {r"model\.layers\.\d+\.self_attn\.v_.*": 5}}, (2.0, 0.625), 1),
        ({"use_rslora": True, "alpha_pattern": {"q_proj": 3}}, (3 / 8**0.5, 16 / 8**0.5), 2),
    ],
)  # fmt: skip
def test_the_product_of_scale_and_matrices_stays(tmp_path: Path, changes: dict, scales: tuple, steps: int) -> None:
    folder = write_folder(tmp_path / "in", matrices(changes.get("r", 8)), **changes)
    out, scale = _converted(folder, tmp_path / "out")
    for path in LAYERS:
        before = _update(folder, path, scales["v_proj" in path])
        assert np.abs(_update(out, path, scale) - before).max() <= 2e-7 * np.abs(before).max()
    assert len(inspect(folder).steps) == steps


def test_lower_ranks_are_padded_with_zeros(tmp_path: Path) -> None:
    tensors = matrices() | {name: value for name, value in matrices(4).items() if "v_proj" in name}
    folder = write_folder(tmp_path / "in", tensors, rank_pattern={"v_proj": 4})
    out, scale = _converted(folder, tmp_path / "out")
    for path in LAYERS:
        before = _update(folder, path, 4.0 if "v_proj" in path else 2.0)
        assert np.array_equal(_update(out, path, scale), before)


def test_where_only_names_change_every_byte_of_the_matrices_stays(tmp_path: Path) -> None:
    tensors = {name: value.astype(np.float16) for name, value in matrices(prefix="", infix=".default").items()}
    out, _ = _converted(write_folder(tmp_path / "in", tensors), tmp_path / "out")
    from safetensors.numpy import load_file

    kept = load_file(out / "adapter_model.safetensors")
    for name, value in tensors.items():
        written = kept["base_model.model." + name.replace(".default", "")]
        assert written.dtype == np.float16
        assert written.tobytes() == value.tobytes()


@pytest.mark.parametrize("prefix", ["base_model.model.", "", "module.base_model.model.", "base_model.model._orig_mod."])
@pytest.mark.parametrize("infix", ["", ".default", ".my_adapter"])
def test_the_names_of_wrappers_and_adapters_are_left_out(tmp_path: Path, prefix: str, infix: str) -> None:
    assert inspect(write_folder(tmp_path / "in", matrices(prefix=prefix, infix=infix))).layers == 4


@pytest.mark.parametrize(
    ("targets", "others"),
    [
        (["v_proj", "q_proj"], {}),
        (LAYERS, {}),
        ("all-linear", {}),
        (r".*\.(q|v)_proj", {}),
        (r"(?:.*?(?:language|text).*?)|(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|mlp)\.(?:(?:q_proj|v_proj)))", {}),
        (["q_proj", "v_proj", "k_proj"], {"exclude_modules": ["k_proj"]}),
        (["q_proj", "v_proj"], {"layers_to_transform": [0, 1], "layers_pattern": "layers"}),
    ],
)
def test_every_way_to_name_layers_is_understood(tmp_path: Path, targets: object, others: dict) -> None:
    assert inspect(write_folder(tmp_path / "in", target_modules=targets, **others)).layers == 4


@pytest.mark.parametrize(
    "changes",
    [
        {"target_modules": ["q_proj"]},
        {"target_modules": r".*\.q_proj"},
        {"layers_to_transform": [0]},
        {"exclude_modules": r".*layers\.1.*"},
        {"rank_pattern": {"v_proj": 4}},
    ],
)
def test_weights_that_peft_would_pass_over_are_refused(tmp_path: Path, changes: dict) -> None:
    with pytest.raises(VerificationError, match=r"model\.layers\.[01]\.self_attn"):
        inspect(write_folder(tmp_path / "in", **changes))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"init_lora_weights": "pissa"}, "pissa"),
        ({"init_lora_weights": "pissa_niter_16"}, "pissa_niter_16"),
        ({"init_lora_weights": "olora"}, "olora"),
        ({"init_lora_weights": "loftq"}, "loftq"),
        ({"init_lora_weights": "corda"}, "corda"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "lora_only"}, "bias"),
        ({"lora_bias": True}, "lora_bias"),
        ({"layer_replication": [[0, 2], [1, 2]]}, "layer_replication"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices"),
        ({"alora_invocation_tokens": [1, 2]}, "activated LoRA"),
        ({"target_parameters": ["mlp.experts.down_proj"]}, "target_parameters"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"task_type": "SEQ_CLS"}, "SEQ_CLS"),
        ({"use_new_lora": True}, "use_new_lora"),
    ],
)
def test_what_is_not_plain_lora_is_refused_by_name(tmp_path: Path, changes: dict, named: str) -> None:
    with pytest.raises(VerificationError, match=named) as caught:
        inspect(write_folder(tmp_path / "in", **changes))
    assert caught.value.hint


@pytest.mark.parametrize("value", [None, False, [], {}, ""])
def test_an_unknown_field_that_is_off_changes_nothing(tmp_path: Path, value: object) -> None:
    assert inspect(write_folder(tmp_path / "in", use_new_lora=value)).rank == 8


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector", "DoRA"),
        ("base_model.model.model.embed_tokens.lora_embedding_A", "embeddings"),
        ("base_model.model.lm_head.lora_A.weight", "output head"),
        ("base_model.model.model.norm.modules_to_save.weight", "whole layer"),
        ("base_model.model.model.layers.0.self_attn.q_proj.bias", "bias"),
        ("base_model.model.model.layers.0.mlp.down_proj.ia3_l", "IA3"),
        ("base_model.model.model.layers.0.mlp.down_proj.hada_w1_a", "LoHa"),
    ],
)
def test_tensors_of_other_methods_are_refused_by_name(tmp_path: Path, name: str, what: str) -> None:
    with pytest.raises(VerificationError, match=what):
        inspect(write_folder(tmp_path / "in", matrices() | {name: np.ones((2, 2), np.float32)}))


def test_other_files_are_named_and_never_opened(tmp_path: Path) -> None:
    import os

    folder = write_folder(tmp_path / "in")
    for name in ("README.md", "training_args.bin", "optimizer.pt", "adapter_model.bin"):
        os.mkfifo(folder / name)
    (folder / "checkpoint-8").mkdir()
    assert set(inspect(folder).ignored) == {
        *("README.md", "training_args.bin", "optimizer.pt", "adapter_model.bin", "checkpoint-8")
    }


@pytest.mark.parametrize(
    ("names", "message", "hint"),
    [
        (("adapter_config.json", "adapter_model.bin"), "pickle", "safe_serialization"),
        (("adapter_config.json", "adapter_model-00001-of-00002.safetensors"), "several files", "one file"),
        (("adapter_config.json",), "no adapter_model.safetensors", "PEFT"),
        (("config.json", "model.safetensors"), "whole model", "merged"),
        (("checkpoint-9/x", "checkpoint-10/x"), "no adapter_config.json", "checkpoint-10"),
    ],
)
def test_a_folder_without_the_two_files_is_told_what_to_do(
    tmp_path: Path, names: tuple[str, ...], message: str, hint: str
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(CONFIG))
    with pytest.raises(VerificationError, match=message) as caught:
        inspect(tmp_path)
    assert hint in caught.value.hint


@pytest.mark.parametrize("part", range(4))
def test_two_hundred_hostile_folders_are_refused_at_once(tmp_path: Path, part: int) -> None:
    for seed in range(part, 200, 4):
        folder = tmp_path / str(seed)
        kind = hostile(seed, folder)
        before = sorted(path.name for path in folder.iterdir())
        tracemalloc.start()
        started = time.thread_time()
        with pytest.raises(VerificationError) as caught:
            inspect(folder)
        seconds, peak = time.thread_time() - started, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        told = f"{caught.value.message}; {caught.value.hint}"
        assert caught.value.hint, (seed, kind, told)
        assert told.isprintable(), (seed, kind, told)
        assert len(told) < 400, (seed, kind, told)
        # Watching every allocation takes several times the 0.1 s that it may take.
        assert seconds < 1.0, (seed, kind, seconds)
        assert peak < 50e6, (seed, kind, peak)
        assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize("seed", range(160, 176))
def test_a_hostile_folder_takes_no_tenth_of_a_second(tmp_path: Path, seed: int) -> None:
    hostile(seed, tmp_path / "in")
    started = time.thread_time()
    with pytest.raises(VerificationError):
        inspect(tmp_path / "in")
    assert time.thread_time() - started < 0.1


def test_a_long_list_of_real_names_is_done_in_time(tmp_path: Path) -> None:
    names = [f"model.layers.{number}.mlp.part_{part}" for number in range(100) for part in range(20)]
    tensors = {}
    for name in names:
        tensors[f"base_model.model.{name}.lora_A.weight"] = np.ones((2, 4), np.float32)
        tensors[f"base_model.model.{name}.lora_B.weight"] = np.ones((4, 2), np.float32)
    ranks, alphas = dict.fromkeys(names[:1000], 2), dict.fromkeys(names, 4)
    folder = write_folder(tmp_path / "in", tensors, target_modules=names, rank_pattern=ranks | {".*x": 3}, r=2)
    assert inspect(folder).layers == 2000
    assert (
        inspect(write_folder(tmp_path / "in", tensors, target_modules="all-linear", alpha_pattern=alphas, r=2)).alpha
        == 4
    )


def test_the_concentration_is_that_of_the_whole_product() -> None:
    draw = np.random.default_rng(3)
    a, b = draw.normal(size=(8, 40)).astype(np.float32), draw.normal(size=(30, 8)).astype(np.float32)
    values = np.linalg.svd(b.astype(np.float64) @ a.astype(np.float64), compute_uv=False)
    assert concentration(a, b) == pytest.approx(values[0] / values.sum(), rel=1e-6)
    assert concentration(a * 0, b) == 0
    assert concentration(np.ones((4, 9), np.float32), np.ones((9, 4), np.float32)) == pytest.approx(1)


@pytest.mark.parametrize(("rank", "limit"), [(1, 1.0), (3, 1.0), (4, 0.85), (15, 0.675), (32, 0.4), (256, 0.4)])
def test_the_limit_is_that_of_the_next_lower_rank_measured(rank: int, limit: float) -> None:
    assert honest_limit(rank) == pytest.approx(limit)


def test_only_concentrated_updates_are_conspicuous(tmp_path: Path) -> None:
    honest = write_folder(tmp_path / "honest")
    tensors = matrices()
    for path in LAYERS:
        a, b = (tensors[f"base_model.model.{path}.lora_{side}.weight"] for side in "AB")
        a[1:], b[:, 1:] = a[1:] * 0.01, b[:, 1:] * 0.01
    spectra = []
    for folder in (honest, write_folder(tmp_path / "concentrated", tensors)):
        with read_foreign(folder) as found:
            spectra.append(measure(found.weights, found.pairs, lambda step, steps: None))
    plain, concentrated = spectra
    assert plain is not None
    assert concentrated is not None
    assert not plain.is_conspicuous()
    assert concentrated.is_conspicuous()
    assert "no proof" in concentrated.sentence()


def test_a_slow_expression_is_stopped(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(VerificationError, match="too long to match"):
        inspect(write_folder(tmp_path / "in", target_modules="(.*.*.*.*.*.*.*)*x"))
    assert time.monotonic() - started < 2
