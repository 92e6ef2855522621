"""The node's workers: which module carries out which order, with which environment, log and bounds."""

import contextlib
import resource
from collections.abc import Callable, Mapping
from pathlib import Path

from viz_node.daemon.logs import rotate
from viz_node.daemon.writer import MODULE as WRITING
from viz_node.daemon.writer import ResidentWriter
from viz_node.domain.importing import AdapterImported, AdapterInspected, ImportAdapter, InspectAdapter
from viz_node.domain.pretraining import FetchSources, Pretrain, SourcesFetched
from viz_node.domain.rounds import Coordinate, Listening, MemberSeen, PartTaken, Resumed, RoundsRun, TakePart
from viz_node.domain.training import (
    AUTO,
    AdapterTrained,
    AddBase,
    BaseReady,
    BuildBase,
    InstallBase,
    Train,
    UnpackBase,
)
from viz_node.domain.worker import Progress, WorkerLine, placed
from viz_node.workers.ask import Answers, WorkerCommand, ask
from viz_node.workers.keep import Patience

WANTED_DESCRIPTORS = 4096
_MAX_LINE_BYTES = 8 * 1024 * 1024
# A node stops within five seconds; a slower worker resumes from its last checkpoint.
_GRACE_SECONDS = 3.0
_MODELS = "viz_node.models.worker"
_FEDERATION = "viz_node.daemon.federation_worker"
Tell = Callable[[WorkerLine], None]


def raise_descriptor_limit() -> None:
    """Take as many descriptors as the system lets this process have, up to `WANTED_DESCRIPTORS`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, WANTED_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # macOS refuses more than its kernel's own limit; then the current limit must do.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Workers:
    """Fits `ports.Trainer` and `ports.RoundsRunner`; one environment, the hub's added for downloads, and one log.

    Models compute on `device`, which orders need not name. `writer` keeps its model for `idle_seconds` after an answer,
    but gives its memory back to everything that trains or compares models.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        log_path: Path,
        hub_environment: Mapping[str, str] | None = None,
        device: str = AUTO,
        idle_seconds: float = 300.0,
    ) -> None:
        self._device = device
        self.writer = ResidentWriter(lambda: self._command(WRITING), Patience(idle_seconds), device)
        self._environment = dict(environment)
        self._log_path = log_path
        self._hub_environment = dict(hub_environment or {})

    async def build_base(self, order: BuildBase, tell: Tell) -> BaseReady:
        """Build the synthetic base model."""
        return await ask(self._command(_MODELS), order, Answers(BaseReady), tell)

    async def install_base(self, order: InstallBase, tell: Tell) -> BaseReady:
        """Download a base model: the only order that may go out to a model hub."""
        return await ask(self._command(_MODELS, self._hub_environment), order, Answers(BaseReady), tell)

    async def add_base(self, order: AddBase, tell: Tell) -> BaseReady:
        """Copy a base model from a folder."""
        return await ask(self._command(_MODELS), order, Answers(BaseReady), tell)

    async def unpack_base(self, order: UnpackBase, tell: Tell) -> BaseReady:
        """Unpack the base model of this package."""
        return await ask(self._command(_MODELS), order, Answers(BaseReady), tell)

    async def fetch_sources(self, order: FetchSources, tell: Tell) -> SourcesFetched:
        """Download the sources of a pre-training."""
        return await ask(self._command(_MODELS), order, Answers(SourcesFetched), tell)

    async def pretrain(self, order: Pretrain, tell: Tell) -> BaseReady:
        """Train a base model from scratch, from its checkpoint if there is one."""
        async with self.writer.room():
            return await ask(self._command(_MODELS), order, Answers(BaseReady), tell)

    async def train(self, order: Train, tell: Tell) -> AdapterTrained:
        """Train an adapter, from its checkpoint if there is one."""
        async with self.writer.room():
            return await ask(self._command(_MODELS), placed(order, self._device), Answers(AdapterTrained), tell)

    async def inspect_adapter(self, order: InspectAdapter) -> AdapterInspected:
        """Read a stranger's adapter folder."""
        return await ask(self._command(_MODELS), order, Answers(AdapterInspected), lambda line: None)

    async def import_adapter(self, order: ImportAdapter, tell: Tell) -> AdapterImported:
        """Rewrite a stranger's adapter for a base model and compare both."""
        async with self.writer.room():
            return await ask(self._command(_MODELS), placed(order, self._device), Answers(AdapterImported), tell)

    async def coordinate(self, order: Coordinate, tell: Tell) -> RoundsRun:
        """Run the rounds of a federation; the first event is `Listening`."""
        events = Listening, Resumed, MemberSeen, Progress
        return await ask(self._command(_FEDERATION), order, Answers(RoundsRun, events), tell)

    async def take_part(self, order: TakePart, tell: Tell) -> PartTaken:
        """Train as a member until the coordinator closes."""
        async with self.writer.room():
            return await ask(self._command(_FEDERATION), placed(order, self._device), Answers(PartTaken), tell)

    def _command(self, module: str, more: Mapping[str, str] | None = None) -> WorkerCommand:
        rotate(self._log_path)
        environment = {**self._environment, **(more or {})}
        return WorkerCommand(module, environment, _MAX_LINE_BYTES, self._log_path, _GRACE_SECONDS)
