"""What a worker may be ordered to do with adapters of other programs, and what it answers."""

from viz_node.domain.names import FilePath
from viz_node.domain.training import AUTO, BaseModel, Facts, FileFacts
from viz_node.domain.worker import WorkerLine, WorkerOrder


class InspectAdapter(WorkerOrder, frozen=True, tag="inspect_adapter"):
    """Read a stranger's adapter folder without loading anything; answered by `AdapterInspected`."""

    source: FilePath


class ImportAdapter(WorkerOrder, frozen=True, tag="import_adapter"):
    """Rewrite a stranger's adapter for this base model and compare it with PEFT; answered by `AdapterImported`.

    Its weights must still be those with this SHA-256. With texts, it is evaluated on them.
    """

    source: FilePath
    weights_digest: str
    base: BaseModel
    out_dir: FilePath
    eval_texts: tuple[str, ...] = ()
    device: str = AUTO


class AdapterInspected(WorkerLine, frozen=True, tag="done"):
    """What the folder holds: the base model that it names, and how it is rewritten.

    `kinds` are the layers' names within a block, `parameters` counts the matrices' numbers, `steps` says what changes,
    `notes` what a person should know, and `ignored` names what was never opened.
    """

    weights_digest: str
    base_name: str
    revision: str
    rank: int
    alpha: int
    layers: int
    kinds: tuple[str, ...]
    parameters: int
    steps: tuple[str, ...]
    notes: tuple[str, ...]
    ignored: tuple[str, ...]


class AdapterImported(WorkerLine, frozen=True, tag="done"):
    """The rewritten files are in their folder; `notes` say what a person should know."""

    directory: FilePath
    files: dict[str, FileFacts]
    training: Facts
    evaluation: Facts
    notes: tuple[str, ...]
