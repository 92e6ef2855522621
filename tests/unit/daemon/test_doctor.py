"""The doctor without a node: every finding that is not well names its fix, and a home in any state gets an answer."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.bases import listed_sources
from viz_node.daemon import doctor
from viz_node.daemon.report import Redactor, write_report
from viz_node.daemon.secrets import unlock
from viz_node.domain.answer import as_json
from viz_node.domain.ids import WorkId
from viz_node.domain.job import Job, JobState
from viz_node.domain.work import Rights, Work
from viz_node.errors import RefusedError
from viz_node.storage.home import open_home, private_directory, remember_start
from viz_node.storage.store import Store

TITLE, AUTHOR = "The Heron's Winter", "Ottilie Brandt"
PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home as a start leaves it, with a work and jobs of each state."""
    path = tmp_path / "ottilie" / ".viz-node"
    path.mkdir(parents=True, mode=0o700)
    for name in ("keys", "works", "logs", "bases"):
        private_directory(path, name)
    unlock(path)
    store = Store(path / "node.db")
    store.works.add_work(
        Work(WorkId("ab" * 32), TITLE, AUTHOR, Rights.OWNED, "text/plain", 1, 1, "", "", 1), path / "works" / "x"
    )
    store.close()
    return path


def add_job(home: Path, kind: str, state: JobState, error: str = "", age: int = 0, name: str = TITLE) -> None:
    store, moment = Store(home / "node.db"), int(time.time()) - age
    result = {"error": error.partition(":")[0]} if error else {}
    job = Job(f"{kind}-{state}", kind, state, {"name": name}, moment, moment, error=error, result=result)
    store.jobs.add_job(job)
    store.close()


def found(home: Path) -> dict[str, dict[str, Any]]:
    rows = as_json(doctor.check(home))
    assert all(row["fix"] for row in rows if row["state"] != "ok"), rows
    return {row["check"]: row for row in rows}


def test_check__no_home__says_how_to_begin(tmp_path: Path) -> None:
    rows = found(tmp_path / "none")
    assert (rows["home"]["state"], rows["node"]["state"]) == ("warn", "warn")


def test_surely__home_of_somebody_else__is_a_finding() -> None:
    def look() -> list[Any]:
        raise PermissionError(13, "Permission denied", "/home/other")

    (row,) = doctor._surely(look)
    assert (row.state, row.detail) == ("fail", "cannot look at /home/other: Permission denied")


def test_check__home_in_order__nothing_fails(home: Path) -> None:
    rows = found(home)
    assert [row for row in rows.values() if row["state"] == "fail"] == []
    assert rows["home's version"]["detail"].endswith("the newest")


def test_check__base_model_being_built__is_not_called_missing(home: Path) -> None:
    assert found(home)["base model"]["state"] == "warn"
    add_job(home, "base_build", JobState.RUNNING)
    row = found(home)["base model"]
    assert row["state"] == "ok"
    assert "on its way" in row["detail"]


def test_check__base_model__named_with_the_verdict_on_its_data(home: Path) -> None:
    for name, facts in (("mine", listed_sources("mine")), ("other", {"name": "other", "license": "MIT"})):
        folder = home / "bases" / name
        folder.mkdir(parents=True)
        (folder / "provenance.json").write_text(json.dumps({**facts, "digest": "ab" * 32, "parameters": 1}))
    assert found(home)["base model"]["detail"] == "mine (documented), other (unknown)"


def test_check__failed_job__named_with_its_cause_and_the_way_on(home: Path) -> None:
    add_job(home, "train", JobState.FAILED, "TrainingError: it ended\nwith details")
    row = found(home)["jobs"]
    assert row["state"] == "warn"
    assert "train, TrainingError: it ended" in row["detail"]
    assert "jobs resume train-failed" in row["fix"]


@pytest.mark.parametrize(
    "error", ["PriceAboveLimitError: too dear", "UsageError: no", "NotFoundError: no", "InsufficientFundsError: poor"]
)
def test_check__job_that_told_a_person_no__needs_no_attention(home: Path, error: str) -> None:
    add_job(home, "license", JobState.FAILED, error)
    row = found(home)["jobs"]
    assert (row["state"], row["detail"]) == ("ok", "none needs attention")


def test_check__failed_job_done_again_since__is_forgotten_and_another_is_not(home: Path) -> None:
    add_job(home, "train", JobState.FAILED, "TrainingError: it ended", age=60)
    add_job(home, "fetch", JobState.FAILED, "PeerUnreachableError: away", age=50, name="elsin")
    add_job(home, "train", JobState.DONE)
    add_job(home, "fetch", JobState.DONE, name="another")
    row = found(home)["jobs"]
    assert row["detail"].startswith("1 failed in the last week and not done since, the latest: fetch")
    assert "jobs resume fetch-failed" in row["fix"]


def test_check__failed_job_that_was_done_before__still_needs_attention(home: Path) -> None:
    add_job(home, "train", JobState.DONE, age=60)
    add_job(home, "train", JobState.FAILED, "TrainingError: it ended")
    assert found(home)["jobs"]["state"] == "warn"


@pytest.mark.parametrize("is_dev", [True, False])
def test_check__program_of_a_development_chain__is_looked_for_in_development_alone(home: Path, is_dev: bool) -> None:
    assert "development chain" in found(home), "a home that was not started yet may want one"
    remember_start(home, is_dev, None)
    assert ("development chain" in found(home)) == is_dev


def test_check__failed_job_of_last_month__is_forgotten(home: Path) -> None:
    add_job(home, "train", JobState.FAILED, "TrainingError: it ended", age=30 * 86_400)
    assert found(home)["jobs"]["state"] == "ok"


def test_check__job_that_the_chain_has_undone__needs_attention(home: Path) -> None:
    store = Store(home / "node.db")
    undone = Job("1", "license", JobState.FAILED, {"adapter": "elsin"}, int(time.time()), int(time.time()))
    store.jobs.add_job(replace(undone, error="a reorganisation of the chain has undone it", result={"paid": "5.00"}))
    store.close()
    assert found(home)["jobs"]["state"] == "warn"


@pytest.mark.parametrize("name", [".", "keys", "keys/keystore.json", "keys/passphrase", "node.db"])
def test_check__others_may_read_it__fails_and_names_it(home: Path, name: str) -> None:
    (home / name).chmod((home / name).stat().st_mode | 0o044)
    row = found(home)["home is private"]
    assert row["state"] == "fail"
    assert str(home / name) in row["fix"]


def test_check__damage__each_thing_fails_by_its_own_name(home: Path) -> None:
    (home / "config.toml").write_text("listen = 5")
    (home / "keys" / "keystore.json").write_text("{}")
    (home / "node.db").write_bytes(b"no database at all" * 100)
    rows = found(home)
    assert {rows[name]["state"] for name in ("configuration", "keystore", "database")} == {"fail"}
    (home / "keys" / "passphrase").unlink()
    assert found(home)["keystore"]["state"] == "fail"


def test_check__home_of_a_newer_program__fails(home: Path) -> None:
    import sqlite3

    with sqlite3.connect(home / "node.db") as database:
        database.execute("PRAGMA user_version=999")
    assert "newer version" in found(home)["database"]["fix"]


def test_check__files_from_the_future__clock_fails(home: Path) -> None:
    ahead = time.time() + 10_000
    os.utime(home / "node.db", (ahead, ahead))
    assert found(home)["clock"]["state"] == "fail"


def test_check__process_holds_the_home_and_does_not_answer__fails(home: Path) -> None:
    with open_home(home):
        row = found(home)["node"]
    assert (row["state"], str(os.getpid()) in row["fix"]) == ("fail", True)


def test_check__chain_configured_and_down__fails_in_bounded_time(home: Path) -> None:
    (home / "config.toml").write_text('rpc_urls = ["http://127.0.0.1:1"]\ndeployment = "none.json"\n')
    begun = time.monotonic()
    assert found(home)["chain"]["state"] == "fail"
    assert time.monotonic() - begun < 5


def plant_secrets(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put every kind of secret where it could get into a report; what must not be in it."""
    passphrase = home.parent / "passphrase"
    passphrase.write_text(PASSPHRASE + "\n")
    monkeypatch.setenv("VIZ_NODE_PASSPHRASE_FILE", str(passphrase))
    monkeypatch.setenv("HF_TOKEN", "hf_planted")
    (home / "api.json").write_text('{"url": "http://127.0.0.1:1", "token": "planted-token"}')
    (home / "config.toml").write_text(
        'rpc_urls = ["https://user:pw@rpc.planted.example/v3/apikey"]\nsigner_url = "http://signer.planted/x"\n'
    )
    key = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
    add_job(home, "train", JobState.FAILED, f"StorageError: cannot read /home/ottilie/{TITLE}.txt: No such file")
    drawn = (home / "keys" / "passphrase").read_text()
    said = [
        f"dropped 0x{key} of https://user:pw@rpc.planted.example/v3/apikey and hf_planted",
        f"cannot read {home}/works/{TITLE}.txt: no such file; '{AUTHOR}' planted-token {PASSPHRASE} {drawn}",
        "a prompt “said the planted lady” from 203.0.113.9 and 12D3KooWGvGZg1sSq1iAjZJnnb5fsT5PGuG6M7sAy4QA2kPYZzyY",
        f"{TITLE.upper()} by {AUTHOR} in /srv/planted dir/poem.txt, (heron's winter)",
    ]
    lines = [f"2026-01-01 00:00:00,000 WARNING viz_node.x: {text}" for text in said]
    lines += ["Traceback (most recent call last):", f'  File "{home}/viz_node/daemon/run.py", line 5, in start']
    lines += [f"    raise ValueError('{TITLE}')", f"ValueError: planted text of {TITLE}", "planted second line"]
    (home / "logs" / "node.log").write_text("\n".join(lines) + "\n")
    words = [key, "pw@", "apikey", "planted", TITLE, AUTHOR, "Ottilie", "Heron", PASSPHRASE, drawn, str(home)]
    return [*words, "203.0.113.9", "12D3KooW", "said the", "poem.txt"]


def test_write_report__secrets_planted_everywhere__none_is_in_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = plant_secrets(home, monkeypatch)
    target = home.parent / "report.json"
    write_report(home, as_json(doctor.check(home)), target)
    text = target.read_text()
    assert [word for word in words if word.lower() in text.lower()] == []
    body = json.loads(text)
    assert target.stat().st_mode & 0o777 == 0o600
    assert body["log"][-2:] == ["  viz_node/daemon/run.py:5 start", "ValueError"]
    assert body["jobs"][0]["error"].startswith("StorageError: cannot read <path>: No such file")
    assert {"viz-node", "python", "libp2p"} <= set(body["versions"])
    with pytest.raises(RefusedError, match="exists already"):
        write_report(home, [], target)


def test_redactor__what_helps__stays() -> None:
    text = (
        "ChainUnavailableError: the chain at http://127.0.0.1:8545 does not answer (status 503) on /ip4/127.0.0.1/tcp/1"
    )
    assert Redactor([]).text(text) == text
