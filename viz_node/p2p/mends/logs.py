"""The library's warnings reach the node's log.

Importing the library cuts its loggers off from the root logger, and one of them speaks at every dial. Kept true by
tests/unit/p2p/mends/test_logs.py.
"""

import logging


def install() -> None:
    """Join the library's loggers to the root, from warnings upward."""
    logging.getLogger("libp2p").propagate = True
    for name in ("libp2p", "libp2p.network.auto_connector"):
        logging.getLogger(name).setLevel(logging.WARNING)
