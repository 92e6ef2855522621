"""The commands by section: the module of each below `commands`, and its help in one line."""

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Node": {
        "start": ("node", "Run the node until a signal; --dev adds a local chain and test money."),
        "wait": ("node", "Wait until the node is ready."),
        "status": ("node", "The node at a glance."),
        "peers": ("node", "Peers that this node knows."),
        "id": ("node", "This node's peer id, account and addresses."),
        "config": ("config", "The configuration, each value with its origin: show, example."),
        "keys": ("keys", "The node's keys: show, back up, restore, change the passphrase."),
        "logs": ("logs", "The end of the node's log; -f goes on with new lines."),
        "doctor": ("node", "Check everything the node needs; each failure comes with its fix."),
        "demo": ("node", "The whole story with real node processes, in a few minutes."),
    },
    "Works and training": {
        "content": ("content", "Manage your works: add, list, show, remove."),
        "base": ("base", "Base models: list, show, install, add, train."),
        "train": ("training", "Train an adapter on your works."),
        "recipe": ("training", "Recipes of trainings: suggest one for a base model and a machine."),
        "jobs": ("jobs", "Manage durable jobs: list, show, cancel, resume."),
        "federation": ("federation", "Train one adapter with other nodes: create, join, run, status."),
    },
    "Adapters": {
        "adapters": ("library", "Adapters in this node's library: list, report, import, remove."),
        "generate": ("library", "Generate text with an adapter."),
        "export": ("library", "Write an adapter as a folder that plain PEFT loads."),
    },
    "Market": {
        "publish": ("market", "Sign, seal, register and announce an adapter."),
        "pricing": ("pricing", "Show an adapter's prices, or set a new price."),
        "withdraw": ("market", "End sales of an adapter; existing licenses stay valid."),
        "notice": ("notice", "Complaints about adapters, and answers: file, counter, show."),
        "search": ("market", "Find adapters that peers announce."),
        "show": ("market", "One adapter: manifest, price and terms."),
        "license": ("market", "Buy a license for an adapter, or renew it."),
        "channel": ("channels", "Pay for an adapter per use: open, list, show, top-up, close."),
        "pool": ("pools", "A catalogue for one fee per period: create, list, join, subscribe, divide."),
        "fetch": ("market", "Download and verify a licensed adapter."),
        "royalties": ("royalties", "Royalties due to this account: show, claim, statement."),
        "allowance": ("allowance", "Show or revoke what the market may take from this account."),
        "market": ("deployments", "Deploy a market on a chain, or check a deployment file; needs no node."),
        "audit": ("audit", "Re-derive every sale, split and claim; needs no node and no keys."),
        "simulate": ("simulate", "Compare payout and pricing rules, with attackers; needs no node and no keys."),
    },
}

NAMES = tuple(name for section in SECTIONS.values() for name in section)
