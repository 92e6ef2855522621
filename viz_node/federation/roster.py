"""Who takes part: every node that connects is asked for its layout, and is admitted or told why not.

A member's name is its own statement (who may connect at all is decided by the tunnel in front of the fleet door); of
two nodes with one name the later one counts, because a member that was restarted comes back as a new node.
"""

from collections import Counter
from collections.abc import Callable

from flwr.app import Message, MessageType

from viz_node.domain.rounds import Agreement, Layout, MemberSeen
from viz_node.errors import VerificationError
from viz_node.federation.messages import HELLO, REFUSED, make_config, make_content, read_config, read_layout, read_name
from viz_node.federation.superlink import EmbeddedGrid


class Roster:
    """The admitted nodes that are online; `poll` often."""

    def __init__(
        self, grid: EmbeddedGrid, agreement: Agreement, members: int, report: Callable[[MemberSeen], None]
    ) -> None:
        self._grid = grid
        self._agreement = agreement
        self._members = members
        self._report = report
        self.layout: Layout | None = None
        self._online: set[int] = set()
        self._asked: dict[str, int] = {}
        self._stated: dict[int, tuple[str, Layout]] = {}
        self._admitted: dict[int, str] = {}
        self._names: dict[int, str] = {}
        self._done: set[int] = set()

    def node_ids(self) -> list[int]:
        """The nodes to send to, in the order of their names."""
        online = [node for node in self._admitted if node in self._online]
        return sorted(online, key=lambda node: self._admitted[node])

    def name_of(self, node: int) -> str:
        """The name that the node gave, or its number."""
        return self._names.get(node, str(node))

    def poll(self) -> None:
        """Look who is there, ask newcomers, admit those that fit."""
        self._online = set(self._grid.get_node_ids())
        known = self._done | self._admitted.keys() | self._stated.keys() | set(self._asked.values())
        for node in sorted(self._online - known):
            config = make_config(self._agreement, self.layout, kind=HELLO)
            self._asked[self._push(node, Message(make_content(config), node, MessageType.QUERY))] = node
        if self._asked:
            for reply in self._grid.pull_messages(self._asked):
                node = self._asked.pop(reply.metadata.reply_to_message_id)
                self._on_hello(node, reply)
        self._choose_layout()
        for node, (name, layout) in list(self._stated.items()):
            if self.layout is not None:
                del self._stated[node]
                self._admit(node, name, layout)

    def refuse(self, node: int, reason: str) -> None:
        """Tell the node to leave; it is not asked again."""
        self.forget(node)
        self._report(MemberSeen(self.name_of(node), "refused", reason))
        if node in self._online:
            config = make_config(self._agreement, None, kind=REFUSED, reason=reason)
            self._push(node, Message(make_content(config), node, MessageType.QUERY))

    def forget(self, node: int) -> None:
        """Send nothing more to the node."""
        self._admitted.pop(node, None)
        self._done.add(node)

    def _push(self, node: int, message: Message) -> str:
        return str(next(iter(self._grid.push_messages([message]))))

    def _on_hello(self, node: int, reply: Message) -> None:
        if reply.has_error():
            # It found a mismatch itself and has left, or it died and comes back as a new node.
            self._done.add(node)
            self._report(MemberSeen(str(node), "left", reply.error.reason))
            return
        try:
            config = read_config(reply.content, self._agreement)
            layout = read_layout(config)
            if layout is None:
                raise VerificationError("the member states no layout")
            self._names[node] = read_name(config, str(node))
            self._stated[node] = (self._names[node], layout)
        except VerificationError as error:
            self.refuse(node, error.message)

    def _choose_layout(self) -> None:
        if self.layout is not None or len(self._stated) < self._members:
            return
        (layout, votes), *others = Counter(layout for _, layout in self._stated.values()).most_common()
        if votes * 2 > len(self._stated) and not any(count == votes for _, count in others):
            self.layout = layout

    def _admit(self, node: int, name: str, layout: Layout) -> None:
        if layout != self.layout:
            self.refuse(node, "another layout: every member needs the same base model and recipe")
            return
        for other, other_name in list(self._admitted.items()):
            if other_name == name:
                self.forget(other)
        self._admitted[node] = name
        self._report(MemberSeen(name, "admitted", ""))
