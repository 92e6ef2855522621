"""Ask the endpoints: a block that all of them name, its proofs, and every log of the market and its money up to it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter

from viz_node.audit.evidence import BALANCE_SLOTS, MARKET_TOPICS, Evidence, TokenUnit, unit_of
from viz_node.audit.headers import HeaderCollector
from viz_node.chain.contract.artifact import account_of_word, load_artifact, words
from viz_node.chain.contract.ledger import TRANSFER_TOPIC, topic_of
from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.node.logs import Log, Topics, read_logs
from viz_node.chain.node.proofs import (
    AccountProof,
    BlockRef,
    Header,
    check_block,
    encode_header,
    fetch_header,
    fetch_proof,
    header_of,
    verify_proof,
)
from viz_node.chain.node.rpc import JsonRpc, RpcRefusedError, to_bytes, to_hex, to_quantity
from viz_node.chain.replay.book import MarketTerms
from viz_node.domain.deployment import Deployment
from viz_node.domain.ids import Account
from viz_node.errors import ChainUnavailableError, VerificationError

DEVELOPMENT_CHAINS = frozenset({1337, 31337})
FINALIZED = "finalized"
TIMEOUT_SECONDS = 60
STREAMS = 3
# The first page shows how much the next may hold, and a short one comes soon.
FIRST_PAGE_BLOCKS = 4
# An audit keeps all logs in memory, and asks for pages of blocks up to the one that an endpoint names.
MOST_LOGS = 5_000_000
MOST_BLOCKS = 2_000_000_000


@dataclass(frozen=True)
class Source:
    """One deployed market behind one endpoint, at one block; what is up to the block `after` is known already."""

    rpc: JsonRpc
    deployment: Deployment
    block: BlockRef
    after: int | None = None

    def view(self, to: str, signature: str, *arguments: int) -> int:
        """The first word that a view answers, as told. Raises: ChainUnavailableError."""
        data = keccak(signature.encode())[:4] + b"".join(value.to_bytes(32, "big") for value in arguments)
        answer = words(to_bytes(self.rpc.call("eth_call", {"to": to, "data": to_hex(data)}, hex(self.block.number))))
        if not answer:
            raise ChainUnavailableError(f"{to} does not answer {signature}", "check the deployment file")
        return answer[0]

    def code(self, address: str) -> str:
        """The code at an address, as told."""
        return to_hex(to_bytes(self.rpc.call("eth_getCode", address, hex(self.block.number))))

    def proof(self, address: str, slots: Sequence[int]) -> AccountProof:
        """The nodes of an account and its slots, as told."""
        return fetch_proof(self.rpc, self.block, address, slots)


def choose_block(rpcs: Sequence[JsonRpc], deployment: Deployment, tag: str) -> tuple[Header, tuple[str, ...]]:
    """The header of the block to audit at, and notes about the choice.

    Raises: ChainUnavailableError; VerificationError when the endpoints disagree about its hash.
    """
    for rpc in rpcs:
        chain_id = to_quantity(rpc.call("eth_chainId"))
        if chain_id != deployment.chain_id:
            raise ChainUnavailableError(
                f"{rpc.name} is chain {chain_id}, and the market is on chain {deployment.chain_id}"
            )
    notes: tuple[str, ...] = ()
    if tag == FINALIZED and deployment.chain_id in DEVELOPMENT_CHAINS:
        tag, notes = "latest", ("a development chain finalizes nothing: the latest block was audited",)
    header = fetch_header(rpcs[0], tag)
    block = check_block(header)
    if block.number < deployment.block:
        raise ChainUnavailableError(f"block {block.number} is older than the market", "wait, or give --block latest")
    if block.number - deployment.block > MOST_BLOCKS:
        raise VerificationError(
            f"a market that is {block.number - deployment.block} blocks old cannot be", "use another RPC"
        )
    for rpc in rpcs[1:]:
        other = check_block(fetch_header(rpc, hex(block.number)))
        if other.block_hash != block.block_hash:
            raise VerificationError(
                f"{rpcs[0].name} and {rpc.name} name different blocks {block.number}",
                "one of them lies or is behind: ask a third",
            )
    if len(rpcs) == 1:
        notes += ("one endpoint alone named the block: a second --rpc-url makes a forged chain visible",)
    return header, notes


def collect(rpcs: Sequence[JsonRpc], deployment: Deployment, tag: str, after: int | None = None) -> Evidence:
    """Everything that the first endpoint says up to the block that all of them name, or since the block `after`.

    Raises: ChainUnavailableError, VerificationError.
    """
    header, notes = choose_block(rpcs, deployment, tag)
    source = Source(rpcs[0], deployment, check_block(header), after)
    if after is not None and after > source.block.number:
        raise VerificationError(
            f"the checkpoint is of block {after}, and the audited block is {source.block.number}",
            "wait, or give --block latest as when it was written",
        )
    with ThreadPoolExecutor(1) as beside:
        told = beside.submit(_told, source)
        logs, transfers = _all_logs(source)
        found = _collect_headers(rpcs, source, header, [*logs, *transfers])
        proofs, codes, terms, unit = told.result()
    return Evidence(
        deployment,
        header,
        proofs,
        codes,
        terms,
        tuple(logs),
        tuple(transfers),
        tuple(found.headers[number] for number in sorted(found.headers)),
        found.histories,
        tuple(dict.fromkeys(rpc.name for rpc in rpcs)),
        notes,
        unit=unit,
    )


def _told(source: Source) -> tuple[dict[str, AccountProof], dict[str, str], MarketTerms, TokenUnit]:
    """Proofs, code and terms of the contracts, and the token's unit."""
    market, token = source.deployment.market, source.deployment.token
    told = account_of_word(source.view(market, "token()"))
    if told != token:
        raise VerificationError(
            f"the deployment file names the token {token}, and the market takes {told}",
            "ask the market's operator for the right file, or use another RPC",
        )
    annex = Account(account_of_word(source.view(market, "annex()")))
    balance = source.view(token, "balanceOf(address)", int(market, 16))
    proofs = {
        "market": source.proof(market, [load_artifact("Market").head_slot]),
        "annex": source.proof(annex, []),
        "token": _balance_proof(source, balance),
    }
    return proofs, {"market": source.code(market), "annex": source.code(annex)}, _terms(source), _unit(source)


def _unit(source: Source) -> TokenUnit:
    """The unit of the token, as told; none for a token that does not say it in the usual way."""
    artifact, told, block = load_artifact("TestToken"), [], hex(source.block.number)
    for name in ("symbol", "decimals"):
        call = {"to": source.deployment.token, "data": to_hex(artifact.call_data(name))}
        try:
            told += artifact.outputs_of(name, to_bytes(source.rpc.call("eth_call", call, block)))
        except (ValueError, RpcRefusedError, ChainUnavailableError):
            return TokenUnit()
    return unit_of(*told)


def _all_logs(source: Source) -> tuple[list[Log], list[Log]]:
    market, token = source.deployment.market, source.deployment.token
    party, transfer = topic_of(int(market, 16)), to_hex(TRANSFER_TOPIC)
    queries: list[tuple[str, Topics]] = [
        (market, [list(MARKET_TOPICS)]),
        (token, [transfer, None, party]),
        (token, [transfer, party]),
    ]

    first = source.deployment.block if source.after is None else source.after + 1
    blocks = first, source.block.number

    def read(query: tuple[str, Topics]) -> list[Log]:
        logs = list(islice(read_logs(source.rpc, *query, *blocks, FIRST_PAGE_BLOCKS), MOST_LOGS))
        if len(logs) == MOST_LOGS:
            raise ChainUnavailableError(f"the market has more logs than the {MOST_LOGS} that an audit holds")
        return logs

    with ThreadPoolExecutor(STREAMS) as pool:
        logs, incoming, outgoing = pool.map(read, queries)
    return logs, sorted([*incoming, *outgoing], key=attrgetter("block_number", "log_index"))


def _collect_headers(rpcs: Sequence[JsonRpc], source: Source, header: Header, logs: Sequence[Log]) -> HeaderCollector:
    """Headers that link the blocks of the logs, after checking that the logs are where these blocks say they are."""
    found = HeaderCollector(source.rpc, source.block, encode_header(header))
    known = set() if source.after is None else {source.after}
    told = found.collect(sorted({log.block_number for log in logs} | known))
    for log in logs:
        listed = found.transactions[log.block_number]
        is_listed = log.position < len(listed) and listed[log.position] == log.tx_hash
        if not is_listed or log.block_hash != found.blocks[log.block_number].block_hash:
            raise VerificationError(f"block {log.block_number} has no such log", "use another RPC")
    for rpc in rpcs[1:]:
        _compare_blocks(rpc, [found.blocks[number] for number in sorted(told)])
    return found


def _compare_blocks(rpc: JsonRpc, blocks: Sequence[BlockRef]) -> None:
    """Ask another endpoint for blocks that nothing links. Raises: VerificationError when it has others."""
    bodies = rpc.batch([("eth_getBlockByNumber", [hex(block.number), False]) for block in blocks])
    for block, body in zip(blocks, bodies, strict=True):
        if check_block(header_of(body)).block_hash != block.block_hash:
            raise VerificationError(f"{rpc.name} names another block {block.number}", "one endpoint lies: ask a third")


def _balance_proof(source: Source, balance: int) -> AccountProof:
    """A proof of the slot that holds the told balance; of none when no usual slot does."""
    holder = int(source.deployment.market, 16).to_bytes(32, "big")
    slots = [int.from_bytes(keccak(holder + slot.to_bytes(32, "big")), "big") for slot in BALANCE_SLOTS]
    proof = source.proof(source.deployment.token, slots)
    values = verify_proof(source.block.state_root, proof).slots
    found = [item for item in proof.slot_nodes if values[item[0]] == balance]
    return AccountProof(proof.address, proof.account_nodes, tuple(found[:1]))


def _terms(source: Source) -> MarketTerms:
    market = source.deployment.market
    names = ("platformFee", "closeWindow", "deliveryWindow", "disputeWindow", "vetoWindow")
    platform = Account(account_of_word(source.view(market, "platform()")))
    return MarketTerms(platform, *(source.view(market, f"{name}()") for name in names))


def translated(error: RpcRefusedError) -> ChainUnavailableError:
    """An endpoint's refusal as an error for people."""
    return ChainUnavailableError(f"the chain refused a request: {error.message}", "use another RPC")
