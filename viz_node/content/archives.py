"""Zip archives of strangers: parts read under one budget, and XML without document type tricks."""

import io
import zipfile
import zlib
from xml.etree.ElementTree import Element

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from viz_node.content.decoding import decode_xml
from viz_node.content.reading import Reading
from viz_node.errors import VerificationError

MAX_RATIO = 100
MAX_ENTRIES = 10_000
# A small archive of plain XML may well shrink more than 100:1; below this size no ratio hurts.
_RATIO_FREE_BYTES = 1 << 20


class Archive:
    """A zip file whose parts are read under one budget."""

    def __init__(self, data: bytes) -> None:
        """Raises: VerificationError (no whole archive, or one that unpacks to too much)."""
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            entries = self._zip.infolist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
            raise VerificationError("the file is not a whole zip archive") from error
        if len(entries) > MAX_ENTRIES:
            raise VerificationError(f"the archive has more than {MAX_ENTRIES} entries")
        self.names = [entry.filename for entry in entries]
        if len(set(self.names)) != len(entries):
            raise VerificationError("the archive names an entry twice")
        self._budget = max(MAX_RATIO * len(data), _RATIO_FREE_BYTES)
        if sum(entry.file_size for entry in entries) > self._budget:
            raise VerificationError(f"the archive unpacks to more than {MAX_RATIO} times its size")

    def read(self, name: str) -> bytes | None:
        """The entry, or None when there is none. Raises: VerificationError."""
        try:
            # The sizes in the directory may lie, so what really comes out is counted as well.
            with self._zip.open(name) as file:
                content = file.read(self._budget + 1)
        except KeyError:
            return None
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError, ValueError) as error:
            raise VerificationError(f"the archive's {name[:80]!r} is damaged or encrypted") from error
        except zlib.error as error:
            raise VerificationError(f"the archive's {name[:80]!r} is damaged") from error
        self._budget -= len(content)
        if self._budget < 0:
            raise VerificationError(f"the archive unpacks to more than {MAX_RATIO} times its size")
        return content

    def read_xml(self, name: str, reading: Reading) -> Element | None:
        """The entry as XML without DTD tricks, or None when there is none. Raises: VerificationError."""
        content = self.read(name)
        if content is None:
            return None
        text = decode_xml(content, reading)
        try:
            return fromstring(text, forbid_dtd=False)
        except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
            raise VerificationError(f"the archive's {name[:80]!r} is not acceptable XML") from error
