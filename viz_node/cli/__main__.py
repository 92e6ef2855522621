"""`python -m viz_node.cli` is `viz-node`."""

from viz_node.cli.main import main

if __name__ == "__main__":
    main()
