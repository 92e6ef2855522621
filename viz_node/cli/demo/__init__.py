"""`viz-node demo`: the whole story in real node processes, printed as it happens and checked at the end."""

import shutil
import tempfile
import time
from pathlib import Path

from viz_node.cli.demo.closing import print_closing
from viz_node.cli.demo.story import Story
from viz_node.cli.demo.verdict import check_facts
from viz_node.cli.output import Output

UNVERIFIED_STATUS = 1


def run_demo(output: Output, home: Path, keep: bool) -> int:
    """Run the story; 0 only if every check of it holds. Homes and logs are kept when asked for, or when it failed.

    Of the user's own `home` only the synthetic base model is used, if there is one: it need not be built again.

    Raises: VizNodeError that names the step that failed.
    """
    root, is_kept, begun = Path(tempfile.mkdtemp(prefix="viz-node-demo-")), True, time.monotonic()
    try:
        facts = Story(output, root, home).tell()
        checks = check_facts(facts)
        print_closing(output, facts, checks, time.monotonic() - begun)
        is_verified = all(check.ok for check in checks)
        is_kept = keep or not is_verified
    except KeyboardInterrupt:
        is_kept = keep
        raise
    finally:
        if is_kept:
            output.news(f"the nodes' homes and logs are kept in {root}")
        else:
            shutil.rmtree(root, ignore_errors=True)
    return 0 if is_verified else UNVERIFIED_STATUS
