"""What a first start writes into its home, so that a start that fails removes exactly that.

A file with another name was put there by someone else, even if it arrived during those seconds, and stays.
"""

from pathlib import Path

from viz_node.chain.development import anvil
from viz_node.daemon.bootstrap import ADDRESSES, API_PORT
from viz_node.daemon.build import DIRECTORIES
from viz_node.daemon.config import Config
from viz_node.daemon.logs import LOG_NAME
from viz_node.daemon.secrets import KEYSTORE, MACHINE_MADE, SCRAPE_TOKEN
from viz_node.storage.home import LAST_START, LOCK_NAME

_CHAIN = ("anvil.log", "deployment.json", anvil.RECORD, anvil.STATE, anvil.COPY, anvil.SAVED)
FILES = (
    Path(LOCK_NAME), Path(LAST_START), Path(ADDRESSES), Path(API_PORT), Path("api.json"), Path(SCRAPE_TOKEN),
    KEYSTORE, MACHINE_MADE, Path("logs") / LOG_NAME, Path("logs") / "workers.log",
    *(Path(f"node.db{ending}") for ending in ("", "-shm", "-wal", "-journal")),
    *(Path("chain") / name for name in _CHAIN),
)  # fmt: skip
FOLDERS = (*map(Path, DIRECTORIES), Path("chain"))


def copied_files(config: Config) -> list[Path]:
    """The files of the neighbour's base models, as a copy has them in this home; also while it is under way."""
    if config.join is None:
        return []
    bases = config.join / "bases"
    found = [path.relative_to(bases) for path in bases.rglob("*") if path.is_file()]
    return [Path("bases") / name / path.relative_to(path.parts[0])
            for path in found for name in (path.parts[0], f"{path.parts[0]}.partial")]  # fmt: skip
