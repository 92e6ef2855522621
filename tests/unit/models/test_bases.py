"""Installed base models: one damaged folder hides no other."""

import json
from pathlib import Path

from viz_node.models.bases import list_bases

FACTS = {"name": "small", "digest": "d", "license": "CC0-1.0", "parameters": 1}


def test_list_bases__damaged_folders_among_them__the_others_listed(tmp_path: Path) -> None:
    bodies = {
        "a": "{",
        "b": json.dumps(FACTS),
        "c": "{}",
        "d": json.dumps(FACTS | {"name": 1}),
        "e": "[]",
        "f": "\udcff",
    }
    for name, body in bodies.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "provenance.json").write_text(body, errors="surrogateescape")
    (tmp_path / "g" / "provenance.json").mkdir(parents=True)
    assert [Path(base.path).name for base in list_bases(tmp_path)] == ["b"]
