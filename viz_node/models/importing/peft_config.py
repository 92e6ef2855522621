"""What a PEFT configuration of a stranger says, field by field: used, ignored, or a reason to refuse.

Every field of the installed `LoraConfig` stands in exactly one list here, and a test compares them; a field that stands
in none may only be switched off. So no method that computes something else than `W + scale * B A` on an untouched base
model gets in under the name of LoRA.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NoReturn, TypeAlias

from viz_node.domain.strict_json import parse_json
from viz_node.errors import VerificationError
from viz_node.models.adapter_files import CONFIG_NAME, MAX_JSON_DEPTH, MAX_RANK

MAX_FOREIGN_CONFIG_BYTES = 128 * 1024
MAX_SCALE = 1024
_MOST_NAMES = 4096
_LONGEST_NAME = 512
_LONGEST_PATTERN = 4096
_MOST_EXPRESSIONS = 64
_PLAIN = re.compile(r"[A-Za-z0-9_.]+")

Names: TypeAlias = frozenset[str] | str
"""Ends of module paths, or one regular expression for whole paths."""

USED_FIELDS = frozenset(
    (
        *("peft_type", "task_type", "base_model_name_or_path", "revision", "r", "lora_alpha", "use_rslora"),
        *("rank_pattern", "alpha_pattern", "target_modules", "exclude_modules", "layers_to_transform"),
        *("layers_pattern", "init_lora_weights"),
    )
)
# How it was trained or is loaded, none of which changes what a finished adapter computes.
IGNORED_FIELDS = frozenset(
    (
        *("auto_mapping", "peft_version", "inference_mode", "lora_dropout", "fan_in_fan_out", "megatron_core"),
        *("qalora_group_size", "runtime_config", "loftq_config", "eva_config", "corda_config", "lora_ga_config"),
        "ensure_weight_tying",
    )
)
_MERGE = "merge it into its base model and train an adapter on that"
_RETRAIN = "train it again without, as plain LoRA"
# Field -> what is refused, and what the person can do.
REFUSED_FIELDS: Mapping[str, tuple[str, str]] = {
    "bias": ("it changes biases", "train it again with bias none"),
    "modules_to_save": ("it brings whole layers of its own", "train it again without modules_to_save"),
    "trainable_token_indices": ("it changes embeddings of tokens", _RETRAIN),
    "use_dora": ("it is DoRA, which scales whole weights", "train it again with use_dora off, as plain LoRA"),
    "use_qalora": ("it is QALoRA, which pools its inputs", _RETRAIN),
    "lora_bias": ("it adds biases", "train it again with lora_bias off"),
    "layer_replication": ("it repeats layers of its base model", _MERGE),
    "alora_invocation_tokens": ("it is an activated LoRA, which acts on some tokens only", _RETRAIN),
    "target_parameters": ("it changes parameters that are no linear layers", "train it on target_modules alone"),
    "use_bdlora": ("it is a block-diagonal LoRA", _RETRAIN),
    "arrow_config": ("it chooses among several adapters at each token", "import one of those adapters"),
    "kasa_config": ("it is KaSA, which changes its base model", _RETRAIN),
    "monteclora_config": ("it draws at random while it computes", _RETRAIN),
    "velora_config": ("it is a VeLoRA", _RETRAIN),
    "megatron_config": ("it is for Megatron's own layers", _RETRAIN),
}
_WITHOUT_CHANGE_OF_BASE = ("gaussian", "eva", "orthogonal", "mica")
_CHANGES_BASE = re.compile(r"pissa(?:_niter_[0-9]{1,4})?|olora|corda|loftq|lora_ga")
_UNDO = (
    "write it again from PEFT with save_pretrained(path_initial_model_for_weight_conversion=…), which makes plain LoRA"
)


@dataclass(frozen=True)
class ForeignConfig:
    """A configuration of plain LoRA, in PEFT's meaning; patterns map a regular expression to a rank or an alpha."""

    base_name: str
    revision: str
    rank: int
    alpha: Fraction
    is_rank_stabilized: bool
    rank_by_pattern: Mapping[str, int]
    alpha_by_pattern: Mapping[str, Fraction]
    targets: Names
    excluded: Names
    layers: tuple[int, ...] | None
    layers_pattern: tuple[str, ...]


def parse_peft_config(raw: bytes) -> ForeignConfig:
    """Read a stranger's `adapter_config.json`. Raises: VerificationError (not plain LoRA; malformed; absurd)."""
    try:
        body = parse_json(raw, MAX_JSON_DEPTH)
    except ValueError as error:
        refuse(str(error))
    if not isinstance(body, dict):
        refuse("it holds no object")
    kind = body.get("peft_type")
    if kind != "LORA":
        refuse(f"peft_type is {_shown(kind)}, not LORA", "import a LoRA adapter; viz-node reads no other method")
    if body.get("task_type") not in (None, "CAUSAL_LM"):
        refuse(f"task_type is {_shown(body['task_type'])}", "import an adapter for writing text (CAUSAL_LM)")
    _check_fields(body)
    _check_initial_weights(body.get("init_lora_weights", True))
    targets = _names(body, "target_modules")
    if not targets:
        refuse("target_modules names no layer", "save it again with the PEFT that trained it")
    return ForeignConfig(
        base_name=_text(body, "base_model_name_or_path"),
        revision=_text(body, "revision"),
        rank=_rank("r", body.get("r")),
        alpha=_alpha("lora_alpha", body.get("lora_alpha")),
        is_rank_stabilized=_flag(body, "use_rslora"),
        rank_by_pattern={key: _rank("rank_pattern", value) for key, value in _pattern(body, "rank_pattern").items()},
        alpha_by_pattern={
            key: _alpha("alpha_pattern", value) for key, value in _pattern(body, "alpha_pattern").items()
        },
        targets=targets,
        excluded=_names(body, "exclude_modules"),
        layers=_layers(body.get("layers_to_transform")),
        layers_pattern=_layers_pattern(body),
    )


def is_plain(key: str) -> bool:
    """Whether it is a module path or its end; as a regular expression it matches that path and nothing else here."""
    return _PLAIN.fullmatch(key) is not None


def refuse(what: str, hint: str = "save it again with PEFT and import that") -> NoReturn:
    """Raises: VerificationError, always, about the configuration."""
    raise VerificationError(f"{CONFIG_NAME}: {what}", hint)


def _check_fields(body: Mapping[str, object]) -> None:
    for name, value in body.items():
        is_off = value is None or value is False or value in ("", "none") or (value in ([], {}))
        if name in USED_FIELDS or name in IGNORED_FIELDS or is_off:
            continue
        if name in REFUSED_FIELDS:
            what, hint = REFUSED_FIELDS[name]
            refuse(f"{name} is set: {what}", hint)
        refuse(
            f"{_shown(name)} is a field of no PEFT that is known here, and it is set", "save it again with PEFT 0.21"
        )


def _check_initial_weights(value: object) -> None:
    if isinstance(value, bool) or value in _WITHOUT_CHANGE_OF_BASE:
        return
    if isinstance(value, str) and _CHANGES_BASE.fullmatch(value):
        refuse(f"init_lora_weights is {value}, which changed the base model itself", _UNDO)
    refuse(f"init_lora_weights is {_shown(value)}, which is unknown", _RETRAIN)


def _rank(name: str, value: object) -> int:
    if type(value) is not int or not 1 <= value <= MAX_RANK:
        refuse(f"{name} is {_shown(value)}, not a whole number from 1 to {MAX_RANK}")
    return value


def _alpha(name: str, value: object) -> Fraction:
    # A truth value is an integer, too.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        refuse(f"{name} is {_shown(value)}, not a number")
    alpha = Fraction(value)
    # Fractions of floats are exact; a tiny one would have an enormous denominator.
    if not Fraction(1, 1024) <= alpha <= MAX_SCALE * MAX_RANK:
        refuse(f"{name} is {_shown(value)}, which is out of range", "is it the right adapter?")
    return alpha


def _flag(body: Mapping[str, object], name: str) -> bool:
    value = body.get(name, False)
    if value is not None and type(value) is not bool:
        refuse(f"{name} is {_shown(value)}, neither true nor false")
    return bool(value)


def _text(body: Mapping[str, object], name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > _LONGEST_NAME or not value.isprintable():
        refuse(f"{name} is no name")
    return value


def _names(body: Mapping[str, object], name: str) -> Names:
    value = body.get(name)
    if value is None:
        return frozenset()
    if isinstance(value, str):
        return _expression(name, value)
    if not isinstance(value, list) or len(value) > _MOST_NAMES:
        refuse(f"{name} is neither a list of names nor a regular expression")
    if not all(isinstance(entry, str) and 0 < len(entry) <= _LONGEST_NAME for entry in value):
        refuse(f"{name} holds something that is no name")
    return frozenset(value)


def _pattern(body: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = body.get(name) or {}
    if not isinstance(value, dict) or len(value) > _MOST_NAMES:
        refuse(f"{name} is no table")
    for key in value:
        _expression(name, key)
    if sum(not is_plain(key) for key in value) > _MOST_EXPRESSIONS:
        refuse(f"{name} holds more than {_MOST_EXPRESSIONS} regular expressions")
    return value


def _expression(name: str, value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_PATTERN:
        refuse(f"{name} holds an expression of no or too many characters")
    return value


def _layers(value: object) -> tuple[int, ...] | None:
    numbers = [value] if type(value) is int else value
    if numbers is None or numbers == []:
        return None
    if not isinstance(numbers, list) or len(numbers) > _MOST_NAMES:
        refuse("layers_to_transform is no list of numbers")
    if not all(type(number) is int and 0 <= number < 1000 for number in numbers):
        refuse("layers_to_transform holds something that is no number of a layer")
    return tuple(numbers)


def _layers_pattern(body: Mapping[str, object]) -> tuple[str, ...]:
    names = _names(body, "layers_pattern")
    return (names,) if isinstance(names, str) else tuple(sorted(names))


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**20 else "a number of more than 20 digits"
    return text if len(text) <= 60 else f"{text[:60]}…"
