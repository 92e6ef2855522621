"""What a reader learns about one file, and the notes that it returns with the text."""

from dataclasses import dataclass, field

_MOST_NOTES = 20
_MOST_CHARACTERS = 200


@dataclass
class Reading:
    """One file being read: the encoding that its owner said, and what was guessed or left out."""

    encoding: str = ""
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Remember the note once; beyond a limit, further notes are dropped."""
        line = " ".join(text.split())[:_MOST_CHARACTERS]
        if line not in self.notes and len(self.notes) < _MOST_NOTES:
            self.notes.append(line)
