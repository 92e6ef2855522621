"""What a worker may be ordered to do with base models and adapters, and what it answers."""

from typing import TypeAlias

import msgspec

from viz_node.domain.base_sources import StatedSources
from viz_node.domain.conversation import Message
from viz_node.domain.limits import CORES, NEW_TOKENS, SEED
from viz_node.domain.names import FilePath
from viz_node.domain.recipe import BaseRecipe, Recipe
from viz_node.domain.report import Measured
from viz_node.domain.sampling import Sampling
from viz_node.domain.worker import WorkerLine, WorkerOrder

AUTO = "auto"
"""Where a model computes unless an order says otherwise: on the first GPU of CUDA, or on the CPU without one."""

Facts: TypeAlias = dict[str, int | str]
"""What a manifest says about a training or an evaluation: integers and text only."""


def is_worse_than_base(evaluation: Facts) -> bool:
    """Whether held-out text is less expected with the adapter than without it, as far as the evaluation tells."""
    try:
        return float(evaluation["perplexity_after"]) > float(evaluation["perplexity_before"])
    except (KeyError, ValueError):
        return False


class BaseModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A base model by name, folder and digest; one of a hub that is not installed yet has neither folder nor digest."""

    name: str
    path: FilePath
    digest: str


class InstalledBase(msgspec.Struct, frozen=True):
    """A base model on this disk, as its provenance describes it; `provenance` is only shown."""

    name: str
    digest: str
    license: str
    parameters: int
    path: FilePath
    provenance: dict[str, object]

    def reference(self) -> BaseModel:
        """Its reference in orders."""
        return BaseModel(self.name, self.path, self.digest)


class ListedBase(InstalledBase, frozen=True):
    """An installed base model, and whether training uses it where none is named."""

    default: bool


def listed_base(base: InstalledBase, is_default: bool) -> ListedBase:
    """The base model as people see it."""
    return ListedBase(**msgspec.structs.asdict(base), default=is_default)


class BuildBase(WorkerOrder, frozen=True, tag="build_base"):
    """Build the synthetic base model; answered by `BaseReady`. Raises: UsageError (out of range)."""

    out_dir: FilePath
    seed: int = 0
    recipe: BaseRecipe = BaseRecipe()

    def __post_init__(self) -> None:
        SEED.check(self.seed)


SHIPPED_BASE = "viz-base-english-1"
"""The base model that comes with this package."""


class UnpackBase(WorkerOrder, frozen=True, tag="unpack_base"):
    """Unpack the base model of this package; answered by `BaseReady`."""

    out_dir: FilePath


class InstallBase(WorkerOrder, frozen=True, tag="install_base"):
    """Download the pinned model `source` from its hub; answered by `BaseReady`."""

    source: str
    out_dir: FilePath


class AddBase(WorkerOrder, frozen=True, tag="add_base"):
    """Check and copy the model in the folder `source`; answered by `BaseReady`.

    `stated` is what its owner says of its training data.
    """

    source: FilePath
    out_dir: FilePath
    name: str
    license: str
    stated: StatedSources | None = None


class Train(WorkerOrder, frozen=True, tag="train"):
    """Train an adapter, from the checkpoint if there is one; answered by `AdapterTrained`."""

    base: BaseModel
    texts: tuple[str, ...]
    out_dir: FilePath
    checkpoint_dir: FilePath
    eval_texts: tuple[str, ...] = ()
    recipe: Recipe = Recipe()
    device: str = AUTO
    cores: int = 0

    def __post_init__(self) -> None:
        CORES.check(self.cores)


class Generate(WorkerOrder, frozen=True, tag="generate"):
    """Write on from a prompt, or what the assistant says after `messages`; answered by `TextWritten`.

    Without a folder of an adapter the base model writes.

    Raises: UsageError (out of range).
    """

    base: BaseModel
    prompt: str
    adapter_dir: FilePath = FilePath("")
    adapter_digest: str = ""
    max_new_tokens: int = 64
    sampling: Sampling = Sampling()
    device: str = AUTO
    messages: tuple[Message, ...] = ()

    def __post_init__(self) -> None:
        NEW_TOKENS.check(self.max_new_tokens)


class BaseReady(WorkerLine, frozen=True, tag="done"):
    """The base model is in its folder."""

    name: str
    path: FilePath
    digest: str


class FileFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size and SHA-256 of one file."""

    size_bytes: int
    digest: str


class AdapterTrained(WorkerLine, frozen=True, tag="done"):
    """The adapter's files are in their folder; `measured` is for its report."""

    directory: FilePath
    files: dict[str, FileFacts]
    training: Facts
    evaluation: Facts
    measured: Measured = Measured()


class TextWritten(WorkerLine, frozen=True, tag="done"):
    """What the model wrote, and how fast; `finish_reason` is `stop` or `length`.

    `prompt_cut` tokens at the beginning of the prompt did not fit and were left out.
    """

    text: str
    tokens: int
    prompt_tokens: int
    finish_reason: str
    prompt_cut: int = 0
    seconds: float = 0.0
    tokens_per_second: float = 0.0
